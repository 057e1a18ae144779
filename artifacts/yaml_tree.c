#include <string.h>
#include <yaml.h>

#include "agent/base/strv.h"
#include "artifacts/yaml_tree.h"

#define MERGE_KEY "<<"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

typedef struct NodeLine {
        const json_t *value;
        /* VALUE is an object, and it is its member of that name that is null; else NULL */
        const char *null_key;
        unsigned line;
} NodeLine;

struct YamlTree {
        JsonSource source; /* first: line_of() gets from here to the lines */
        char *name;
        json_t *root;
        json_t *discarded; /* what was overridden or merged: its lines are noted by address */
        char **passed_over;
        NodeLine *lines; /* of every value; looked through only for a message */
        size_t n_lines, n_lines_allocated;
};

/* One conversion. NODES counts what aliases make, too. */
typedef struct Conversion {
        YamlTree *tree;
        yaml_document_t *document;
        unsigned n_nodes;
        Error *error;
} Conversion;

/* FIELD is the way to the node, for messages; its value is not known yet. */
static int convert(Conversion *c, yaml_node_t *node, const JsonField *field, unsigned depth, json_t **ret);

static bool is_about(const NodeLine *line, const JsonField *field) {
        if (!json_is_null(field->value))
                return line->value == field->value && !line->null_key;
        return field->parent && line->value == field->parent->value &&
               string_equal(line->null_key, field->key);
}

/* The last note counts: for "key: value", convert_pair()'s of the key's line. To jansson every null is the same value. */
static unsigned line_of(const JsonSource *source, const JsonField *field) {
        const YamlTree *tree = (const YamlTree *) source;

        for (size_t i = tree->n_lines; i > 0; i--)
                if (is_about(&tree->lines[i - 1], field))
                        return tree->lines[i - 1].line;
        return 0;
}

static unsigned mark_line(yaml_mark_t mark) {
        return (unsigned) mark.line + 1;
}

static _printf_(4, 5) int refuse(const Conversion *c, const yaml_node_t *node, const JsonField *field,
                                 const char *format, ...) {
        char text[ERROR_MESSAGE_MAX], path[JSON_PATH_MAX];
        va_list arguments;

        va_start(arguments, format);
        (void) vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        (void) json_field_path(field, path, sizeof(path));
        return error_set_fault(c->error, -EBADMSG, FAULT_INPUT, "%s:%u: %s%s%s", c->tree->name,
                               mark_line(node->start_mark), path, *path ? ": " : "", text);
}

static int note_line(YamlTree *tree, const json_t *value, const char *null_key, yaml_mark_t mark) {
        if (tree->n_lines == tree->n_lines_allocated) {
                size_t n = MAX(2 * tree->n_lines_allocated, (size_t) 64);
                NodeLine *lines = reallocarray(tree->lines, n, sizeof(*lines));

                if (!lines)
                        return -ENOMEM;
                tree->lines = lines;
                tree->n_lines_allocated = n;
        }
        tree->lines[tree->n_lines++] = (NodeLine){ value, null_key, mark_line(mark) };
        return 0;
}

static bool is_null(const yaml_node_t *node) {
        static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };

        if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(nulls); i++)
                if (strcmp((const char *) node->data.scalar.value, nulls[i]) == 0)
                        return true;
        return false;
}

static int check_tag(const Conversion *c, const yaml_node_t *node, const JsonField *field) {
        static const char *const tags[] = { YAML_STR_TAG,  YAML_INT_TAG, YAML_FLOAT_TAG, YAML_BOOL_TAG,
                                            YAML_NULL_TAG, YAML_SEQ_TAG, YAML_MAP_TAG };
        char tag[JSON_EXCERPT_MAX + 4];

        for (size_t i = 0; i < ELEMENTSOF(tags); i++)
                if (strcmp((const char *) node->tag, tags[i]) == 0)
                        return 0;
        json_excerpt((const char *) node->tag, tag);
        return refuse(c, node, field, "the tag %s is not supported", tag);
}

static int convert_scalar(const Conversion *c, const yaml_node_t *node, const JsonField *field,
                          json_t **ret) {
        const char *text = (const char *) node->data.scalar.value;

        if (strlen(text) != node->data.scalar.length)
                return refuse(c, node, field, "a zero character in a text");
        *ret = is_null(node) ? json_null() : json_stringn(text, node->data.scalar.length);
        return *ret ? 0 : error_oom(c->error);
}

static int convert_sequence(Conversion *c, const yaml_node_t *node, const JsonField *field, unsigned depth,
                            json_t **ret) {
        _cleanup_json_ json_t *array = json_array();

        if (!array)
                return error_oom(c->error);
        for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
             i++) {
                JsonField element = json_field_element(field, json_array_size(array));
                json_t *value;
                int r;

                r = convert(c, yaml_document_get_node(c->document, *i), &element, depth, &value);
                if (r < 0)
                        return r;
                if (json_array_append_new(array, value) < 0)
                        return error_oom(c->error);
        }
        *ret = TAKE_PTR(array);
        return 0;
}

static bool is_merge_key(const yaml_node_t *key) {
        return key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
               strcmp((const char *) key->data.scalar.value, MERGE_KEY) == 0;
}

static int note_member(const Conversion *c, json_t *object, const char *name, yaml_mark_t mark) {
        const json_t *value = json_object_get(object, name);

        if (json_is_null(value))
                return note_line(c->tree, object, json_object_iter_key(json_object_iter_at(object, name)),
                                 mark);
        return note_line(c->tree, value, NULL, mark);
}

/* A value that is not part of the tree stays until the tree goes: at its address no other value can be taken for it. */
static int discard(const Conversion *c, json_t *value) {
        if (!c->tree->discarded)
                c->tree->discarded = json_array();
        return json_array_append(c->tree->discarded, value) < 0 ? error_oom(c->error) : 0;
}

/* YAML has each key once; Ruby, and so CodeDeploy, takes the last one. */
static int override(const Conversion *c, json_t *object, const yaml_node_t *key, const JsonField *member) {
        char path[JSON_PATH_MAX];
        Error told;
        int r;

        (void) json_field_path(member, path, sizeof(path));
        error_set(&told, -EBADMSG,
                  "%s:%u: %s: this key stands here twice; the last one counts, as with CodeDeploy",
                  c->tree->name, mark_line(key->start_mark), path);
        r = discard(c, json_object_get(object, member->key));
        if (r >= 0 && strv_append(&c->tree->passed_over, told.message) < 0)
                r = error_oom(c->error);
        return r;
}

/* Adds one "key: value"; its line is the key's, where a person looks. */
static int convert_pair(Conversion *c, json_t *object, const yaml_node_pair_t *pair, const JsonField *field,
                        unsigned depth) {
        yaml_node_t *key = yaml_document_get_node(c->document, pair->key);
        const char *name = (const char *) key->data.scalar.value;
        JsonField member;
        json_t *value;
        int r;

        if (key->type != YAML_SCALAR_NODE || strlen(name) != key->data.scalar.length)
                return refuse(c, key, field, "expected a name as the key");
        if (is_merge_key(key))
                return 0;
        member = json_field_member(field, name);
        r = json_object_get(object, name) ? override(c, object, key, &member) : 0;
        if (r >= 0)
                r = convert(c, yaml_document_get_node(c->document, pair->value), &member, depth, &value);
        if (r < 0)
                return r;
        if (json_object_set_new(object, name, value) < 0 || note_member(c, object, name, key->start_mark) < 0)
                return error_oom(c->error);
        return 0;
}

/* What is there already wins (https://yaml.org/type/merge.html). */
static int merge(Conversion *c, json_t *object, yaml_node_t *from, const JsonField *field, unsigned depth) {
        _cleanup_json_ json_t *value = NULL;
        json_t *element;
        size_t i;
        int r;

        r = convert(c, from, field, depth, &value);
        if (r >= 0)
                r = discard(c, value);
        if (r < 0)
                return r;
        if (json_is_object(value))
                return json_object_update_missing(object, value) < 0 ? error_oom(c->error) : 0;
        json_array_foreach(value, i, element) {
                if (!json_is_object(element))
                        break;
                if (json_object_update_missing(object, element) < 0)
                        return error_oom(c->error);
        }
        if (!json_is_array(value) || i < json_array_size(value))
                return refuse(c, from, field, "%s: expected a mapping to merge", MERGE_KEY);
        return 0;
}

static int convert_mapping(Conversion *c, const yaml_node_t *node, const JsonField *field, unsigned depth,
                           json_t **ret) {
        const yaml_node_pair_t *start = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
        _cleanup_json_ json_t *object = json_object();
        int r = 0;

        if (!object)
                return error_oom(c->error);
        for (const yaml_node_pair_t *pair = start; r >= 0 && pair < top; pair++)
                r = convert_pair(c, object, pair, field, depth);
        for (const yaml_node_pair_t *pair = start; r >= 0 && pair < top; pair++)
                if (is_merge_key(yaml_document_get_node(c->document, pair->key)))
                        r = merge(c, object, yaml_document_get_node(c->document, pair->value), field, depth);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(object);
        return 0;
}

/* An alias is the node it names, even one around it: the depth ends that. */
static int convert(Conversion *c, yaml_node_t *node, const JsonField *field, unsigned depth, json_t **ret) {
        json_t *value = NULL;
        int r;

        if (depth >= YAML_TREE_DEPTH_MAX)
                return refuse(c, node, field, "nested more than %u levels deep", YAML_TREE_DEPTH_MAX);
        if (++c->n_nodes > YAML_TREE_NODES_MAX)
                return refuse(c, node, field,
                              "expected at most %u values, aliases counted as often as they are used",
                              YAML_TREE_NODES_MAX);
        r = check_tag(c, node, field);
        if (r < 0)
                return r;
        if (node->type == YAML_SCALAR_NODE)
                r = convert_scalar(c, node, field, &value);
        else if (node->type == YAML_SEQUENCE_NODE)
                r = convert_sequence(c, node, field, depth + 1, &value);
        else
                r = convert_mapping(c, node, field, depth + 1, &value);
        if (r < 0)
                return r;
        if (note_line(c->tree, value, NULL, node->start_mark) < 0) {
                json_decref(value);
                return error_oom(c->error);
        }
        *ret = value;
        return 0;
}

static unsigned line_at(const char *text, size_t size, size_t offset) {
        unsigned line = 1;

        for (size_t i = 0; i < MIN(offset, size); i++)
                line += text[i] == '\n';
        return line;
}

/* Whether a tab is part of what indents LINE (from 1). */
static bool is_indented_by_tab(const char *text, size_t size, size_t line) {
        const char *end = text + size;

        while (--line > 0) {
                const char *newline = memchr(text, '\n', (size_t) (end - text));

                if (!newline)
                        return false;
                text = newline + 1;
        }
        while (text < end && *text == ' ')
                text++;
        return text < end && *text == '\t';
}

static int refuse_syntax(const YamlTree *tree, const yaml_parser_t *parser, const char *data, size_t size,
                         Error *error) {
        unsigned line = mark_line(parser->problem_mark);

        if (parser->error == YAML_MEMORY_ERROR)
                return error_oom(error);
        if (parser->error == YAML_READER_ERROR)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s:%u: not valid UTF-8 text: %s",
                                       tree->name, line_at(data, size, parser->problem_offset),
                                       parser->problem);
        if (is_indented_by_tab(data, size, line))
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s:%u: indented with a tab; YAML is indented with spaces", tree->name,
                                       line);
        return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s:%u: not valid YAML: %s", tree->name, line,
                               parser->problem);
}

/* Loads the next document of the stream and converts it; an empty one, after the last, has no root. */
static int load_document(YamlTree *tree, yaml_parser_t *parser, const char *data, size_t size, Error *error) {
        JsonField top = json_field_top(&tree->source, NULL);
        yaml_document_t document;
        yaml_node_t *root;
        int r = 0;

        if (!yaml_parser_load(parser, &document))
                return refuse_syntax(tree, parser, data, size, error);
        root = yaml_document_get_root_node(&document);
        if (root && tree->root) {
                Conversion c = { .tree = tree, .error = error };

                r = refuse(&c, root, &top, "expected one document, here is another");
        } else if (root) {
                Conversion c = { .tree = tree, .document = &document, .error = error };

                r = convert(&c, root, &top, 0, &tree->root);
        }
        yaml_document_delete(&document);
        return r < 0 ? r : root != NULL;
}

static int load(YamlTree *tree, const char *data, size_t size, Error *error) {
        yaml_parser_t parser;
        int r;

        if (!yaml_parser_initialize(&parser))
                return error_oom(error);
        if (size >= strlen(BYTE_ORDER_MARK) && memcmp(data, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
                data += strlen(BYTE_ORDER_MARK); /* libyaml would count it as a column */
                size -= strlen(BYTE_ORDER_MARK);
        }
        yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&parser, (const unsigned char *) data, size);
        do
                r = load_document(tree, &parser, data, size, error);
        while (r > 0);
        yaml_parser_delete(&parser);
        return r;
}

int yaml_tree_parse(const char *name, const void *data, size_t size, size_t limit, YamlTree **ret,
                    Error *error) {
        _cleanup_(yaml_tree_freep) YamlTree *tree = calloc(1, sizeof(*tree));
        int r;

        if (!tree)
                return error_oom(error);
        if (string_set(&tree->name, name) < 0)
                return error_oom(error);
        tree->source = (JsonSource){ .name = tree->name,
                                     .untyped = true,
                                     .closed = true,
                                     .passed_over = &tree->passed_over,
                                     .line_of = line_of };
        if (size > limit)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT,
                                       "%s: expected at most %zu bytes, found %zu", name, limit, size);
        r = load(tree, size > 0 ? data : "", size, error);
        if (r < 0)
                return r;
        if (!tree->root)
                return error_set_fault(error, -EBADMSG, FAULT_INPUT, "%s: there is nothing in it", name);
        *ret = TAKE_PTR(tree);
        return 0;
}

YamlTree *yaml_tree_free(YamlTree *tree) {
        if (!tree)
                return NULL;
        json_decref(tree->root);
        json_decref(tree->discarded);
        strv_free(tree->passed_over);
        free(tree->lines);
        free(tree->name);
        free(tree);
        return NULL;
}

JsonField yaml_tree_top(const YamlTree *tree) {
        return json_field_top(&tree->source, tree->root);
}

char **yaml_tree_take_passed_over(YamlTree *tree) {
        return TAKE_PTR(tree->passed_over);
}
