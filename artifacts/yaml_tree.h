#pragma once

/* YAML 1.1 (https://yaml.org/spec/1.1/) through libyaml, as a JSON tree that schemas can read, with the line of each value.
 *
 * Scalars become strings, whatever they look like: what "1.10" or "on" means is for the reader's table to say, not for
 * YAML's guesses. Only a plain null ("", "~", "null") becomes JSON's null. Aliases are expanded and merge keys ("<<")
 * merged, within a limit on the nodes that this makes. Of a key that stands in a mapping twice the last one counts, and that
 * is told. One document; a key that is not a scalar, a tag of one's own, a tab that indents and a zero character are refused
 * with their line. */

#include "artifacts/json.h"

#define YAML_TREE_DEPTH_MAX 16U
#define YAML_TREE_NODES_MAX 10000U

typedef struct YamlTree YamlTree;

/* NAME is for messages and is copied. -EBADMSG with FAULT_INPUT. */
int yaml_tree_parse(const char *name, const void *data, size_t size, size_t limit, YamlTree **ret,
                    Error *error);
YamlTree *yaml_tree_free(YamlTree *tree);
DEFINE_CLEANUP(YamlTree *, yaml_tree_free)

/* The document's root for a schema: untyped, closed, with lines. Belongs to the tree. */
JsonField yaml_tree_top(const YamlTree *tree);

/* What was passed over so far, by this parser and by schemas, a strv of sentences; NULL if nothing. */
char **yaml_tree_take_passed_over(YamlTree *tree);
