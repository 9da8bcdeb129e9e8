/* cli/request.c - argv -> request. Every word is either the verb, its arguments, an option of ours or an override; what is none of these
 * is an error with the nearest one that exists. Values are not looked at: they are text until config reads them. */
#include "base/schema.h"
#include "base/str.h"
#include "base/trainer_opts.h"
#include "cli/words.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct parser {
    lth_request *request;
    lth_diags *diags;
    int argc, at;
    char *const *argv;
    const char *words[3];
    size_t n_words;  /* verb words; the third is never one */
    unsigned used;   /* lth_option mask */
    bool only_words; /* behind "--" */
    bool version;
} parser;

#define CLI_ERROR(p, hint, ...) lth_diag_add((p)->diags, LT_ECONFIG, NULL, 0, hint, __VA_ARGS__)

/* ---- options ---- */

/* "--name", "--name=value", "--name+=value" taken apart. */
typedef struct option {
    const char *name, *value;
    bool append;
} option;

static bool split_option(parser *p, const char *word, option *out) {
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    out->value = equals ? equals + 1 : NULL;
    out->append = length > 1 && word[length - 1] == '+';
    out->name = lth_arena_strndup(&p->request->arena, word, length - out->append);
    return out->name != NULL;
}

/* "-1" and "-.5" are values; other words that begin with a dash are options. */
static bool is_value(const char *word) { return word[0] != '-' || isdigit((unsigned char)word[1]) || word[1] == '.' || !word[1]; }

/* The value behind "=", or the next word. NULL: there is none. */
static const char *take_value(parser *p, const option *o) {
    if (o->value) {
        return o->value;
    }
    if (p->at + 1 < p->argc && is_value(p->argv[p->at + 1])) {
        return p->argv[++p->at];
    }
    return NULL;
}

static const char *need_value(parser *p, const option *o) {
    const char *value = take_value(p, o);
    if (!value || !*value) {
        CLI_ERROR(p, NULL, "--%s needs a value", o->name);
        return NULL;
    }
    return value;
}

/* One that may be given once only. */
static void set_once(parser *p, const option *o, const char **field) {
    const char *value = need_value(p, o);
    if (value && *field && strcmp(*field, value) != 0) {
        CLI_ERROR(p, NULL, "--%s is given twice: \"%s\" and \"%s\"", o->name, *field, value);
    }
    *field = value ? value : *field;
}

static void take_option(parser *p, const option *o, lth_option which) {
    lth_request *r = p->request;
    const char *value;
    p->used |= which;
    if (which == LTH_OPT_CKPT_PATH) {
        set_once(p, o, &r->ckpt_path);
    } else if (which == LTH_OPT_INPUT) {
        set_once(p, o, &r->input);
    } else if (which == LTH_OPT_MODULE) {
        set_once(p, o, &r->module);
    } else if ((value = need_value(p, o)) && which == LTH_OPT_CONFIG) {
        r->configs[r->n_configs++] = value;
    } else if (value) {
        r->plugins[r->n_plugins++] = value;
    }
}

/* ---- overrides ---- */

static bool is_config_key(const char *name) {
    size_t length = strcspn(name, ".");
    for (const char *const *key = lth_request_config_keys; *key; key++) {
        if (strlen(*key) == length && !strncmp(*key, name, length)) {
            return true;
        }
    }
    return false;
}

/* A switch needs no value: `--trainer.fast_dev_run` says true. */
static void take_override(parser *p, const option *o) {
    const char *value = take_value(p, o);
    p->used |= LTH_OPT_OVERRIDE;
    p->request->overrides[p->request->n_overrides++] = (lth_override){o->name, value ? value : "true", o->append};
}

/* "did you mean --trainer.max_epochs?" for --max_epochs, --trainr.max_epochs and --confg. */
static void unknown_option(parser *p, const char *dashes, const char *name) {
    const char *candidates[32];
    size_t count = 0, n_options;
    const lth_option_words *options = lth_options(&n_options);
    char first[128], hint[256] = "see --help";
    snprintf(first, sizeof first, "%.*s", (int)strcspn(name, "."), name);
    for (size_t i = 0; i < n_options; i++) {
        candidates[count++] = options[i].name;
    }
    for (const char *const *key = lth_request_config_keys; *key; key++) {
        candidates[count++] = *key;
    }
    candidates[count++] = "help";
    candidates[count++] = "version";
    const char *nearest = lth_nearest(first, candidates, count);
    const char *rest = name + strlen(first);
    if (lth_schema_find(lth_trainer_opts_params(), first)) {
        snprintf(hint, sizeof hint, "did you mean --trainer.%s?", first);
    } else if (nearest && strlen(first) < sizeof first - 1) {
        snprintf(hint, sizeof hint, "did you mean --%s%s?", nearest, *rest == '.' && strlen(rest) < 100 ? rest : "");
    }
    CLI_ERROR(p, hint, "unknown option %s%s", dashes, name);
}

static void parse_long(parser *p, const char *word) {
    option o;
    size_t count;
    const lth_option_words *options = lth_options(&count);
    if (!split_option(p, word, &o)) {
        return;
    }
    if (!strcmp(o.name, "help") && !o.value) {
        p->request->help = true;
        return;
    }
    if (!strcmp(o.name, "version") && !o.value) {
        p->version = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(o.name, options[i].name)) {
            take_option(p, &o, options[i].option);
            return;
        }
    }
    if (is_config_key(o.name)) {
        take_override(p, &o);
        return;
    }
    unknown_option(p, "--", o.name);
    if (p->n_words) {
        take_value(p, &o); /* belongs to it: not to be taken for a word of its own; but before the verb it may be the verb */
    }
}

/* -h, -c FILE, -cFILE, -c=FILE */
static void parse_short(parser *p, const char *word) {
    if (!strcmp(word, "h")) {
        p->request->help = true;
    } else if (word[0] == 'c') {
        const char *value = word[1] == '=' ? word + 2 : word[1] ? word + 1 : NULL;
        option o = {"config", value, false};
        take_option(p, &o, LTH_OPT_CONFIG);
    } else {
        unknown_option(p, "-", word);
    }
}

/* ---- verbs ---- */

static bool has_second_word(const char *first) {
    size_t count;
    const lth_verb_words *verbs = lth_verbs(&count);
    for (size_t i = 0; i < count; i++) {
        if (verbs[i].second && !strcmp(verbs[i].first, first)) {
            return true;
        }
    }
    return false;
}

static void parse_word(parser *p, const char *word) {
    size_t wanted = p->n_words && has_second_word(p->words[0]) ? 2 : 1;
    if (!p->n_words && !strcmp(word, "help")) {
        p->request->help = true;
    } else if (p->n_words < wanted) {
        p->words[p->n_words++] = word;
    } else {
        p->request->args[p->request->n_args++] = word;
    }
}

/* First words, or second words of `first`, in the order of the table. */
static size_t verb_words(const char *first, const char *out[16]) {
    size_t count, found = 0;
    const lth_verb_words *verbs = lth_verbs(&count);
    for (size_t i = 0; i < count && found < 16; i++) {
        const char *word = first ? (strcmp(verbs[i].first, first) ? NULL : verbs[i].second) : verbs[i].first;
        if (word && !(found && !strcmp(out[found - 1], word))) {
            out[found++] = word;
        }
    }
    return found;
}

/* No verb, or one that does not exist. */
static void report_verb(parser *p, const char *first, const char *word) {
    const char *words[16];
    size_t count = verb_words(first, words);
    char list[160] = "";
    for (size_t i = 0, used = 0; i < count && used < sizeof list; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    }
    const char *nearest = word ? lth_nearest(word, words, count) : NULL;
    const char *before = first ? first : "lthost", *gap = first ? " " : "";
    if (nearest) {
        CLI_ERROR(p, NULL, "unknown verb \"%s%s%s\"; did you mean \"%s%s%s\"?", first ? first : "", gap, word, first ? first : "", gap,
                  nearest);
    } else if (word) {
        CLI_ERROR(p, NULL, "unknown verb \"%s%s%s\"; there are %s", first ? first : "", gap, word, list);
    } else {
        CLI_ERROR(p, NULL, "%s needs a verb: %s", before, list);
    }
}

static const lth_verb_words *find_verb(parser *p) {
    size_t count;
    const lth_verb_words *verbs = lth_verbs(&count);
    bool first_known = false;
    if (!p->n_words) {
        if (p->argc > 1 && !p->request->help && !p->version) {
            report_verb(p, NULL, NULL);
        }
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(verbs[i].first, p->words[0]) != 0) {
            continue;
        }
        first_known = true;
        if (!verbs[i].second || (p->n_words > 1 && !strcmp(verbs[i].second, p->words[1]))) {
            return &verbs[i];
        }
    }
    if (first_known && p->n_words == 1 && p->request->help) {
        return NULL; /* `lthost config --help` */
    }
    report_verb(p, first_known ? p->words[0] : NULL, first_known ? p->words[1] : p->words[0]);
    return NULL;
}

/* ---- what belongs to the verb ---- */

static void check_args(parser *p, const lth_verb_words *verb) {
    lth_request *r = p->request;
    if (r->n_args < (size_t)verb->args && !r->help) {
        CLI_ERROR(p, NULL, "%s needs a %s", lth_verb_name(verb->verb), verb->arg_name);
    }
    for (size_t i = (size_t)verb->args; i < r->n_args; i++) {
        const char *word = r->args[i], *dot = strrchr(word, '.');
        bool yaml = dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
        bool file = verb->options & LTH_OPT_CONFIG && yaml;
        char hint[256] = "";
        if (file) {
            snprintf(hint, sizeof hint, "a configuration is given by -c %.200s", word);
        }
        CLI_ERROR(p, hint, "unexpected word \"%s\" behind %s", word, lth_verb_name(verb->verb));
    }
}

static void check_options(parser *p, const lth_verb_words *verb) {
    size_t count;
    const lth_option_words *options = lth_options(&count);
    unsigned wrong = p->used & ~verb->options;
    for (size_t i = 0; i < count; i++) {
        if (wrong & options[i].option) {
            bool predict = options[i].option & (LTH_OPT_INPUT | LTH_OPT_MODULE);
            CLI_ERROR(p, predict ? "it belongs to predict" : NULL, "%s takes no --%s", lth_verb_name(verb->verb), options[i].name);
        }
    }
    if (wrong & LTH_OPT_OVERRIDE) {
        CLI_ERROR(p, NULL, "%s takes no --%s", lth_verb_name(verb->verb), p->request->overrides[0].key);
    }
}

/* ---- all of it ---- */

static bool make_room(lth_request *r, size_t count) {
    r->configs = lth_arena_alloc(&r->arena, count * sizeof *r->configs);
    r->plugins = lth_arena_alloc(&r->arena, count * sizeof *r->plugins);
    r->args = lth_arena_alloc(&r->arena, count * sizeof *r->args);
    r->overrides = lth_arena_alloc(&r->arena, count * sizeof *r->overrides);
    return !r->arena.failed;
}

static void parse_argument(parser *p, const char *word) {
    if (p->only_words || word[0] != '-' || !word[1]) {
        parse_word(p, word);
    } else if (!strcmp(word, "--")) {
        p->only_words = true;
    } else if (word[1] == '-') {
        parse_long(p, word + 2);
    } else {
        parse_short(p, word + 1);
    }
}

void lth_request_parse(lth_request *request, int argc, char *const *argv, lth_diags *diags) {
    *request = (lth_request){0};
    parser p = {.request = request, .diags = diags, .argc = argc, .argv = argv};
    if (make_room(request, argc > 0 ? (size_t)argc : 1)) {
        for (p.at = 1; p.at < argc; p.at++) {
            parse_argument(&p, argv[p.at]);
        }
    }
    const lth_verb_words *verb = find_verb(&p);
    if (p.version && !verb) {
        request->verb = LTH_VERB_VERSION;
    } else if (verb) {
        request->verb = verb->verb;
        check_args(&p, verb);
        check_options(&p, verb);
    }
    if (request->arena.failed) {
        request->verb = LTH_VERB_NONE;
        lth_diag_add(diags, LT_ENOMEM, NULL, 0, NULL, "out of memory while reading the command line");
    }
}

void lth_request_release(lth_request *request) {
    lth_arena_release(&request->arena);
    *request = (lth_request){0};
}
