/* SPDX-License-Identifier: Apache-2.0
 *
 * -o yaml: what a command has printed as JSON, made YAML of at its end by libyaml.
 */
#include "tercetctl.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static FILE *terminal; /* what standard output was */
static char *kept;
static size_t kept_size;

void yaml_begin(void)
{
    terminal = stdout;
    stdout = open_memstream(&kept, &kept_size);
    if (stdout == NULL)
        ctl_die("out of memory");
}

/* An emitter's steps fail for want of memory only. */
static void emit(yaml_emitter_t *emitter, yaml_event_t *event, int is_made)
{
    if (!is_made || !yaml_emitter_emit(emitter, event))
        ctl_die("out of memory");
}

static void emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;
    emit(emitter, &event,
         yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                      (int)strlen(text), 1, 1, style));
}

/* Texts are quoted, so that none is taken for a number or a truth value. */
static void emit_leaf(yaml_emitter_t *emitter, const cJSON *value)
{
    char *text = NULL;
    if (cJSON_IsString(value)) {
        emit_scalar(emitter, value->valuestring, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
        return;
    }
    text = cJSON_PrintUnformatted(value);
    if (text == NULL)
        ctl_die("out of memory");
    emit_scalar(emitter, text, YAML_PLAIN_SCALAR_STYLE);
    cJSON_free(text);
}

static void emit_value(yaml_emitter_t *emitter, const cJSON *value)
{
    yaml_event_t event;
    const bool is_list = cJSON_IsArray(value);
    if (!is_list && !cJSON_IsObject(value)) {
        emit_leaf(emitter, value);
        return;
    }
    emit(
        emitter, &event,
        is_list
            ? yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE)
            : yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    for (const cJSON *item = value->child; item != NULL; item = item->next) {
        if (!is_list)
            emit_scalar(emitter, item->string, YAML_ANY_SCALAR_STYLE);
        emit_value(emitter, item);
    }
    emit(emitter, &event,
         is_list ? yaml_sequence_end_event_initialize(&event)
                 : yaml_mapping_end_event_initialize(&event));
}

static void emit_document(yaml_emitter_t *emitter, const cJSON *json)
{
    yaml_event_t event;
    emit(emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0));
    emit_value(emitter, json);
    emit(emitter, &event, yaml_document_end_event_initialize(&event, 1));
}

/* Several objects, as watch and export print them, are several documents. */
static void emit_all(yaml_emitter_t *emitter)
{
    const char *rest = kept;
    yaml_event_t event;
    emit(emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    for (;;) {
        rest += strspn(rest, " \n");
        cJSON *json = rest[0] != '\0' ? cJSON_ParseWithOpts(rest, &rest, 0) : NULL;
        if (json == NULL)
            break;
        emit_document(emitter, json);
        cJSON_Delete(json);
    }
    emit(emitter, &event, yaml_stream_end_event_initialize(&event));
}

void yaml_finish(void)
{
    yaml_emitter_t emitter;
    if (fclose(stdout) != 0)
        ctl_die("out of memory");
    stdout = terminal;
    if (!yaml_emitter_initialize(&emitter))
        ctl_die("out of memory");
    yaml_emitter_set_output_file(&emitter, stdout);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    if (kept_size > 0)
        emit_all(&emitter);
    yaml_emitter_delete(&emitter);
    free(kept);
}
