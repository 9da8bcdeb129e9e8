/* image_folder/geometry.c - the geometry of a sample: torchvision's Resize, CenterCrop, RandomCrop, RandomResizedCrop and
 * RandomHorizontalFlip (transforms.py, functional.py; rounding included). The draws are lthost's own. Touches no pixel. */
#include "transform.h"
#include <math.h>
#include <stdio.h>

/* Resize: both sides given, or the shorter one. */
static void resized(const image_options *o, int64_t width, int64_t height, int64_t *size_w, int64_t *size_h) {
    *size_w = width;
    *size_h = height;
    if (o->resize[1]) {
        *size_h = o->resize[0];
        *size_w = o->resize[1];
    } else if (o->resize[0]) {
        int64_t shorter = width < height ? width : height, longer = width < height ? height : width;
        int64_t other = (int64_t)((double)(o->resize[0] * longer) / (double)shorter);
        *size_w = width <= height ? o->resize[0] : other;
        *size_h = width <= height ? other : o->resize[0];
    }
}

/* CenterCrop's rounding: half to even. A crop larger than the image is padded, the odd pixel behind. */
static int64_t centered(int64_t size, int64_t crop) {
    return crop > size ? -((crop - size) / 2) : (int64_t)nearbyint((double)(size - crop) / 2.0);
}

/* RandomResizedCrop.get_params */
static void draw_box(image_plan *p, const image_options *o, int64_t width, int64_t height, lt_sample_rng *rng) {
    double area = (double)(width * height);
    for (int attempt = 0; attempt < 10; attempt++) {
        double target = area * lt_draw_uniform(rng, o->scale[0], o->scale[1]);
        double aspect = exp(lt_draw_uniform(rng, log(o->ratio[0]), log(o->ratio[1])));
        int64_t w = (int64_t)nearbyint(sqrt(target * aspect)), h = (int64_t)nearbyint(sqrt(target / aspect));
        if (w > 0 && w <= width && h > 0 && h <= height) {
            p->y = lt_draw_below(rng, height - h + 1);
            p->x = lt_draw_below(rng, width - w + 1);
            p->w = w;
            p->h = h;
            return;
        }
    }
    double in_ratio = (double)width / (double)height;
    p->w = width;
    p->h = height;
    if (in_ratio < o->ratio[0]) {
        p->h = (int64_t)nearbyint((double)width / o->ratio[0]);
    } else if (in_ratio > o->ratio[1]) {
        p->w = (int64_t)nearbyint((double)height * o->ratio[1]);
    }
    p->h = p->h < 1 ? 1 : p->h;
    p->w = p->w < 1 ? 1 : p->w;
    p->y = (height - p->h) / 2;
    p->x = (width - p->w) / 2;
}

static bool draw_window(image_plan *p, const image_options *o, lt_sample_rng *rng, char why[DECODE_WHY]) {
    int64_t padded_w = p->size_w + 2 * o->padding, padded_h = p->size_h + 2 * o->padding;
    if (p->width > padded_w || p->height > padded_h) {
        snprintf(why, DECODE_WHY, "is %lld x %lld with its padding, smaller than the crop of %lld x %lld", (long long)padded_w,
                 (long long)padded_h, (long long)p->width, (long long)p->height);
        return false;
    }
    p->top = lt_draw_below(rng, padded_h - p->height + 1) - o->padding;
    p->left = lt_draw_below(rng, padded_w - p->width + 1) - o->padding;
    return true;
}

bool image_plan_make(image_plan *plan, const image_options *o, int64_t width, int64_t height, lt_sample_rng *rng, char why[DECODE_WHY]) {
    *plan = (image_plan){.w = width, .h = height};
    if (o->how == CROP_RANDOM_RESIZED) {
        draw_box(plan, o, width, height, rng);
        plan->size_w = o->crop[1];
        plan->size_h = o->crop[0];
    } else {
        resized(o, width, height, &plan->size_w, &plan->size_h);
    }
    plan->width = o->crop[1] ? o->crop[1] : plan->size_w;
    plan->height = o->crop[0] ? o->crop[0] : plan->size_h;
    if (plan->size_w < 1 || plan->size_h < 1 || plan->size_w > DECODE_MAX_PIXELS / plan->size_h) {
        snprintf(why, DECODE_WHY, "would be resized to %lld x %lld", (long long)plan->size_w, (long long)plan->size_h);
        return false;
    }
    if (o->how == CROP_RANDOM && !draw_window(plan, o, rng, why)) {
        return false;
    }
    if (o->how == CROP_CENTER) {
        plan->top = centered(plan->size_h, plan->height);
        plan->left = centered(plan->size_w, plan->width);
    }
    plan->flip = o->flip > 0 && lt_draw_uniform(rng, 0, 1) < o->flip;
    return true;
}
