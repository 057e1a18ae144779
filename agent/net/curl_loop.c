#include <sys/epoll.h>
#include <time.h>

#include "agent/base/clock.h"
#include "agent/base/timer.h"
#include "agent/net/curl_loop.h"

#define IDLE_CONNECTIONS_MAX 16L

struct CurlLoop {
        sd_event *event;
        sd_event_source *timer;
        CURLM *multi;
        bool busy;
        CurlLoopCallbacks callbacks;
        void *userdata;
};

static void collect_ended(CurlLoop *loop) {
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(loop->multi, &left))) {
                CURL *easy = message->easy_handle;
                CURLcode code = message->data.result; /* the message goes away with the handle */

                if (message->msg != CURLMSG_DONE)
                        continue;
                (void) curl_multi_remove_handle(loop->multi, easy);
                loop->callbacks.ended(easy, code, loop->userdata);
        }
}

static void act(CurlLoop *loop, curl_socket_t fd, int what) {
        int running;

        loop->busy = true;
        (void) curl_multi_socket_action(loop->multi, fd, what, &running);
        loop->busy = false;
        collect_ended(loop);
        loop->callbacks.idle(loop->userdata);
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        act(userdata, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

static int on_io(_unused_ sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        int what = 0;

        if (revents & (EPOLLIN | EPOLLRDHUP))
                what |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                what |= CURL_CSELECT_OUT;
        if (revents & (EPOLLERR | EPOLLHUP))
                what |= CURL_CSELECT_ERR;
        act(userdata, fd, what);
        return 0;
}

static int watch_socket(_unused_ CURL *easy, curl_socket_t fd, int what, void *userdata,
                        void *socket_userdata) {
        CurlLoop *loop = userdata;
        sd_event_source *source = socket_userdata;
        uint32_t events = 0;

        if (what == CURL_POLL_REMOVE) {
                sd_event_source_disable_unref(source);
                (void) curl_multi_assign(loop->multi, fd, NULL);
                return 0;
        }
        if (what & CURL_POLL_IN)
                events |= EPOLLIN;
        if (what & CURL_POLL_OUT)
                events |= EPOLLOUT;
        if (source)
                return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
        if (sd_event_add_io(loop->event, &source, fd, events, on_io, loop) < 0)
                return -1;
        (void) curl_multi_assign(loop->multi, fd, source);
        return 0;
}

/* sd_event's own idea of now may lag behind by a whole iteration, so this reads the clock. */
static int set_timer(_unused_ CURLM *multi, long timeout_msec, void *userdata) {
        CurlLoop *loop = userdata;
        struct timespec ts = {};
        uint64_t now;

        if (timeout_msec < 0)
                return sd_event_source_set_enabled(loop->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        now = (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
        if (sd_event_source_set_time(loop->timer, now + (uint64_t) timeout_msec * USEC_PER_MSEC) < 0)
                return -1;
        return sd_event_source_set_enabled(loop->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

int curl_loop_new(sd_event *event, const CurlLoopCallbacks *callbacks, void *userdata, CurlLoop **ret) {
        _cleanup_(curl_loop_freep) CurlLoop *loop = NULL;
        int r;

        loop = malloc(sizeof(*loop));
        if (!loop)
                return -ENOMEM;
        *loop = (CurlLoop){ .event = sd_event_ref(event), .callbacks = *callbacks, .userdata = userdata };
        loop->multi = curl_multi_init();
        if (!loop->multi)
                return -ENOMEM;
        r = timer_new(event, CLOCK_MONOTONIC, on_timer, loop, &loop->timer);
        if (r < 0)
                return r;
        (void) curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
        (void) curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
        (void) curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, set_timer);
        (void) curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
        (void) curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
        *ret = TAKE_PTR(loop);
        return 0;
}

CurlLoop *curl_loop_free(CurlLoop *loop) {
        if (!loop)
                return NULL;
        (void) curl_multi_cleanup(loop->multi);
        sd_event_source_disable_unref(loop->timer);
        sd_event_unref(loop->event);
        free(loop);
        return NULL;
}

bool curl_loop_is_busy(const CurlLoop *loop) {
        return loop->busy;
}

int curl_loop_add(CurlLoop *loop, CURL *easy) {
        return curl_multi_add_handle(loop->multi, easy) == CURLM_OK ? 0 : -ENOMEM;
}

void curl_loop_remove(CurlLoop *loop, CURL *easy) {
        (void) curl_multi_remove_handle(loop->multi, easy);
}
