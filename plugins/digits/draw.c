/* digits/draw.c - strokes, bent and moved by chance, become segments; each pixel takes its ink from the nearest one. See draw.h. */
#include "draw.h"
#include <math.h>
#include <string.h>

/* How much samples differ. With these and 20000 samples, test accuracy (Adam 1e-3, batch 64): a linear model 0.85 after 8 epochs,
 * 784-128-10 0.95 after 3, LeNet 0.988 after 2 and 0.99 after 3. */
static const float box = 19.0f;                 /* pixels of the box's side before scaling */
static const float bend = 3.0f;                 /* of control points, in hundredths of the box */
static const float turn = 0.24f, slant = 0.30f; /* radians; x per y */
static const float scale_low = 0.78f, scale_high = 1.12f;
static const float shift = 2.5f;                                                          /* pixels, either way */
static const float pen_low = 0.65f, pen_high = 1.75f, blur_low = 0.35f, blur_high = 0.9f; /* radius and half the edge, pixels */
static const float ink_low = 0.7f, noise_high = 0.09f, stray_chance = 0.15f;

typedef struct dice {
    uint64_t state;
} dice;

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}
static dice start(uint64_t seed, int split, int64_t index) { return (dice){mix(mix(mix(seed) ^ (uint64_t)split) ^ (uint64_t)index)}; }
static float uniform(dice *r, float low, float high) {
    r->state = mix(r->state);
    return low + (high - low) * ((float)(r->state >> 40) * 0x1p-24f);
}
/* About normal, mean 0, deviation 1: the sum of three uniforms out of one draw. */
static float normal(dice *r) {
    r->state = mix(r->state);
    uint64_t x = r->state;
    return ((float)(x & 0x1fffff) + (float)(x >> 21 & 0x1fffff) + (float)(x >> 42 & 0x1fffff)) * (2.0f / 0x1p21f) - 3.0f;
}

typedef struct point {
    float x, y;
} point;
typedef struct canvas {
    float nearest[DIGITS_PIXELS];
    float reach;
} canvas; /* squared distance to the ink's middle; how far ink gets */
typedef struct affine {
    float xx, xy, yx, yy, x, y;
} affine;

static affine draw_affine(dice *r) {
    float a = turn * 0.6f * normal(r), k = slant * 0.6f * normal(r);
    float sx = uniform(r, scale_low, scale_high) * box / 100, sy = uniform(r, scale_low, scale_high) * box / 100;
    float s = a - a * a * a / 6, c = 1 - a * a / 2 + a * a * a * a / 24; /* small angles; libm's bits differ between versions */
    affine m = {c * sx, (c * k - s) * sy, s * sx, (s * k + c) * sy, 0, 0};
    m.x = DIGITS_SIDE * 0.5f + uniform(r, -shift, shift);
    m.y = DIGITS_SIDE * 0.5f + uniform(r, -shift, shift);
    return m;
}
static point apply(const affine *m, float x, float y) {
    x -= 50;
    y -= 50;
    return (point){m->xx * x + m->xy * y + m->x, m->yx * x + m->yy * y + m->y};
}

static int clamp_pixel(float x) { return x < 0 ? 0 : x > DIGITS_SIDE - 1 ? DIGITS_SIDE - 1 : (int)x; }

/* Lowers the distances of the pixels in reach of the segment a-b. */
static void add_segment(canvas *c, point a, point b) {
    float dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy, inverse = length > 1e-6f ? 1 / length : 0;
    int left = clamp_pixel((a.x < b.x ? a.x : b.x) - c->reach), right = clamp_pixel((a.x > b.x ? a.x : b.x) + c->reach);
    int top = clamp_pixel((a.y < b.y ? a.y : b.y) - c->reach), bottom = clamp_pixel((a.y > b.y ? a.y : b.y) + c->reach);
    for (int y = top; y <= bottom; y++) {
        for (int x = left; x <= right; x++) {
            float px = (float)x + 0.5f - a.x, py = (float)y + 0.5f - a.y, t = (px * dx + py * dy) * inverse;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            px -= t * dx;
            py -= t * dy;
            float distance = px * px + py * py, *at = &c->nearest[y * DIGITS_SIDE + x];
            *at = distance < *at ? distance : *at;
        }
    }
}

/* Catmull-Rom between p[1] and p[2]. */
static point on_curve(const point *p[4], float t) {
    float t2 = t * t, t3 = t2 * t;
    float w0 = -t3 + 2 * t2 - t, w1 = 3 * t3 - 5 * t2 + 2, w2 = -3 * t3 + 4 * t2 + t, w3 = t3 - t2;
    return (point){0.5f * (w0 * p[0]->x + w1 * p[1]->x + w2 * p[2]->x + w3 * p[3]->x),
                   0.5f * (w0 * p[0]->y + w1 * p[1]->y + w2 * p[2]->y + w3 * p[3]->y)};
}

static void add_curve(canvas *c, const point *points, int count, bool loop) {
    enum { PIECES = 5 };
    int spans = loop ? count : count - 1;
    point from = points[0];
    for (int i = 0; i < spans; i++) {
        const point *p[4];
        for (int k = 0; k < 4; k++) {
            int at = i + k - 1;
            p[k] = &points[loop ? (at + count) % count : at < 0 ? 0 : at < count ? at : count - 1];
        }
        for (int k = 1; k <= PIECES; k++) {
            point to = on_curve(p, (float)k / PIECES);
            add_segment(c, from, to);
            from = to;
        }
    }
}

static void add_stroke(canvas *c, const digits_stroke *stroke, const affine *m, dice *r) {
    point points[DIGITS_POINTS_MAX];
    for (int i = 0; i < stroke->count; i++) {
        points[i] = apply(m, (float)stroke->points[i][0] + bend * normal(r), (float)stroke->points[i][1] + bend * normal(r));
    }
    if (stroke->shape != DIGITS_LINES) {
        add_curve(c, points, stroke->count, stroke->shape == DIGITS_LOOP);
        return;
    }
    for (int i = 1; i < stroke->count; i++) {
        add_segment(c, points[i - 1], points[i]);
    }
}

/* A slip of the pen or a piece of a neighbour, near the border. */
static void add_stray(canvas *c, dice *r) {
    float along = uniform(r, 0, DIGITS_SIDE), across = uniform(r, 0, 3.5f);
    across = uniform(r, 0, 1) < 0.5f ? across : DIGITS_SIDE - across;
    bool upright = uniform(r, 0, 1) < 0.5f;
    point a = upright ? (point){across, along} : (point){along, across};
    add_segment(c, a, (point){a.x + uniform(r, -4, 4), a.y + uniform(r, -4, 4)});
}

/* Distances become ink with a soft edge, then noise. */
static void to_bytes(const canvas *c, float pen, float blur, dice *r, uint8_t *out) {
    float ink = uniform(r, ink_low, 1) * 255, noise = uniform(r, 0, noise_high) * 255, slope = 0.5f / blur;
    for (int i = 0; i < DIGITS_PIXELS; i++) {
        float value = 0;
        if (c->nearest[i] < c->reach * c->reach) {
            value = (pen - sqrtf(c->nearest[i])) * slope + 0.5f;
            value = value < 0 ? 0 : value > 1 ? 1 : value;
        }
        value = value * ink + noise * normal(r);
        out[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5f);
    }
}

int digits_label(uint64_t seed, int split, int64_t index) {
    dice r = start(seed, split, index);
    return (int)uniform(&r, 0, DIGITS_CLASSES) % DIGITS_CLASSES;
}

void digits_draw(uint64_t seed, int split, int64_t index, uint8_t out[DIGITS_PIXELS]) {
    dice r = start(seed, split, index);
    int label = (int)uniform(&r, 0, DIGITS_CLASSES) % DIGITS_CLASSES;
    const digits_style *style = &digits_styles[label][(int)uniform(&r, 0, (float)digits_style_counts[label]) % digits_style_counts[label]];
    affine m = draw_affine(&r);
    float pen = uniform(&r, pen_low, pen_high), blur = uniform(&r, blur_low, blur_high);
    canvas c;
    for (int i = 0; i < DIGITS_PIXELS; i++) {
        c.nearest[i] = 1e9f;
    }
    c.reach = pen + blur;
    for (int i = 0; i < DIGITS_STROKES_MAX; i++) {
        if (style->strokes[i].count) {
            add_stroke(&c, &style->strokes[i], &m, &r);
        }
    }
    if (uniform(&r, 0, 1) < stray_chance) {
        add_stray(&c, &r);
    }
    to_bytes(&c, pen, blur, &r, out);
}
