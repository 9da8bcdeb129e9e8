/* image_folder/scan.h - the images below a folder and their classes, as torchvision's ImageFolder finds them: each folder right below the
 * root is a class, classes and files sorted by name, folders below a class searched too. Opens no image. */
#ifndef IMAGE_SCAN_H
#define IMAGE_SCAN_H
#include "../shared/files.h"

typedef struct image_list {
    char *root;
    char **classes; /* sorted */
    int64_t n_classes;
    char **paths; /* whole paths */
    int32_t *labels;
    int64_t count, room;
} image_list;

/* On failure it is empty and `why` says what is wrong with the folder. LT_EABSENT, LT_EIO, LT_EFORMAT, LT_ENOMEM. */
lt_status image_scan(image_list *list, const char *root, char why[FILE_WHY_MAX]);
/* Numbers the labels by the classes of another list; a class that is not in it is refused. */
lt_status image_relabel(image_list *list, const image_list *as, char why[FILE_WHY_MAX]);
void image_list_free(image_list *list); /* an empty one too */
#endif
