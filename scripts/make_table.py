#!/usr/bin/env python3
"""Writes configs/table.csv, the table that configs/table_mlp.yaml trains on: make_table.py [FILE]. Standard library only.

Made-up houses and the heat they need in a year, in MWh: area x (20 - outdoor) x U x (1 + age / 200) / 250, times 1.15 where nobody is home to
turn it down (`control` is none), plus normal noise of standard deviation 0.5. Two of a hundred cells of age, outdoor and control are missing.
"""
import os
import random
import sys

LOSS = {"poor": 1.9, "fair": 1.3, "good": 0.8, "passive": 0.35}  # U: what each grade of insulation lets through
ROWS = 1200


def house(draw):
    area, age, outdoor = draw.uniform(50, 220), draw.randrange(0, 100), draw.uniform(2, 14)
    insulation, control = draw.choice(list(LOSS)), draw.choice(("none", "timer", "smart"))
    demand = area * (20 - outdoor) * LOSS[insulation] * (1 + age / 200) / 250 * (1.15 if control == "none" else 1) + draw.gauss(0, 0.5)
    cells = [f"{area:.1f}", str(age), f"{outdoor:.1f}", insulation, control]
    for column in (1, 2, 4):
        if draw.random() < 0.02:
            cells[column] = ""
    return [*cells, f"{demand:.2f}"]


def table():
    draw = random.Random(2024)
    rows = [["area", "age", "outdoor", "insulation", "control", "demand"], *(house(draw) for _ in range(ROWS))]
    return "".join(",".join(row) + "\n" for row in rows)


if __name__ == "__main__":
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "configs", "table.csv")
    with open(sys.argv[1] if len(sys.argv) > 1 else default, "w", encoding="utf-8", newline="") as file:
        file.write(table())
