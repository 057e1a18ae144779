#include <jansson.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/queue_note.h"

#define NOTE_FILE "queue.json"
#define NOTE_FILE_MODE 0644
#define NOTE_SIZE_MAX (16U * 1024)

void queue_note_deinit(QueueNote *note) {
        free(note->instance);
        free(note->name);
        free(note->url);
        free(note->topic);
        free(note->subscription);
        *note = (QueueNote){};
}

static int read_note(json_t *json, QueueNote *note) {
        const char *instance, *name, *url = NULL, *topic, *subscription = NULL;

        if (json_unpack(json, "{s:s, s:s, s?s, s:s, s?s}", "instance", &instance, "name", &name, "url", &url,
                        "topic", &topic, "subscription", &subscription) < 0)
                return -EINVAL;
        if (string_set(&note->instance, instance) < 0 || string_set(&note->name, name) < 0 ||
            string_set(&note->url, url) < 0 || string_set(&note->topic, topic) < 0 ||
            string_set(&note->subscription, subscription) < 0)
                return -ENOMEM;
        return 0;
}

int queue_note_load(int state_fd, const char *instance, QueueNote *ret, Error *error) {
        _cleanup_(queue_note_deinit) QueueNote note = {};
        _cleanup_buffer_ Buffer text = {};
        json_auto_t *json = NULL;
        int r;

        r = file_read_at(state_fd, NOTE_FILE, NOTE_SIZE_MAX, &text);
        if (r < 0 && r != -ENOENT && r != -E2BIG)
                return error_set_errno(error, r, "cannot read " NOTE_FILE);
        json = json_loadb(buffer_string(&text), text.size, JSON_REJECT_DUPLICATES, NULL);
        r = json ? read_note(json, &note) : 0;
        if (r != -ENOMEM && !string_equal(note.instance, instance)) {
                queue_note_deinit(&note);
                r = string_set(&note.instance, instance);
        }
        if (r == -ENOMEM)
                return error_oom(error);
        *ret = note;
        note = (QueueNote){};
        return 0;
}

int queue_note_save(int state_fd, const QueueNote *note, Error *error) {
        _cleanup_free_ char *text = NULL;
        json_auto_t *json = NULL;
        int r;

        if (!note->name) {
                r = file_remove_at(state_fd, NOTE_FILE);
                return r < 0 ? error_set_errno(error, r, "cannot remove " NOTE_FILE) : 0;
        }
        json = json_pack("{s:s, s:s, s:s*, s:s, s:s*}", "instance", note->instance, "name", note->name, "url",
                         note->url, "topic", note->topic, "subscription", note->subscription);
        text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
        if (!text)
                return error_oom(error);
        r = file_replace_at(state_fd, NOTE_FILE, text, strlen(text), NOTE_FILE_MODE);
        return r < 0 ? error_set_errno(error, r, "cannot write " NOTE_FILE) : 0;
}
