#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/strv.h"
#include "agent/net/container_credentials.h"
#include "agent/net/url.h"

#define RELATIVE_BASE "http://169.254.170.2"
#define ATTEMPTS 3U
#define ATTEMPT_DELAY (1 * USEC_PER_SEC)
#define CONNECT_TIMEOUT (2 * USEC_PER_SEC)
#define TOTAL_TIMEOUT (4 * USEC_PER_SEC)

struct ContainerCredentials {
        HttpClient *http;
        char *url;
        char **headers;
        HttpTransfer *transfer;
        sd_event_source *timer;
        unsigned attempts;
        Credentials found;
        ContainerCredentialsDone done;
        void *userdata;
};

ContainerCredentials *container_credentials_free(ContainerCredentials *request) {
        if (!request)
                return NULL;
        http_transfer_free(request->transfer);
        sd_event_source_disable_unref(request->timer);
        STRV_FOREACH(header, request->headers)
                OPENSSL_cleanse(*header, strlen(*header));
        strv_free(request->headers);
        credentials_deinit(&request->found);
        free(request->url);
        free(request);
        return NULL;
}

bool container_credentials_is_configured(char *const *environment) {
        return strv_getenv(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
               strv_getenv(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

/* Where credentials may come from without TLS: this machine, ECS and EKS. */
static bool is_local(const char *host) {
        static const char *const hosts[] = { "localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
                                             "[::1]" };
        struct in_addr address;

        for (size_t i = 0; i < ELEMENTSOF(hosts); i++)
                if (strcmp(host, hosts[i]) == 0)
                        return true;
        return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static int check_url(const char *url, Error *error) {
        _cleanup_url_ Url parsed = {};
        int r;

        r = url_parse(url, &parsed, error);
        if (r < 0)
                return r;
        if (strcmp(parsed.scheme, "https") != 0 && !is_local(parsed.host))
                return error_set_fault(
                        error, -EINVAL, FAULT_INPUT,
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI: credentials are not asked for in the clear of %.128s",
                        parsed.host);
        return 0;
}

static int choose_url(ContainerCredentials *request, char *const *environment, Error *error) {
        const char *relative = strv_getenv(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");

        if (!relative)
                return string_set(&request->url,
                                  strv_getenv(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI")) < 0
                               ? error_oom(error)
                               : check_url(request->url, error);
        if (relative[0] != '/')
                return error_set_fault(error, -EINVAL, FAULT_INPUT,
                                       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
        if (asprintf(&request->url, RELATIVE_BASE "%s", relative) < 0) {
                request->url = NULL;
                return error_oom(error);
        }
        return 0;
}

static int add_token(ContainerCredentials *request, char *const *environment, Error *error) {
        const char *path = strv_getenv(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        const char *token = strv_getenv(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
        _cleanup_buffer_ Buffer content = {};
        int r = 0;

        if (path) {
                r = file_read_at(AT_FDCWD, path, CONTAINER_TOKEN_MAX, &content);
                if (r < 0)
                        return error_set_errno(error, r, "cannot read %s", path);
                token = buffer_string(&content);
        }
        if (token && token[strcspn(token, "\r\n")])
                r = error_set_fault(error, -EINVAL, FAULT_INPUT,
                                    "the container's token has a line break in it");
        else if (token && strv_appendf(&request->headers, "Authorization: %s", token) < 0)
                r = error_oom(error);
        if (content.data)
                OPENSSL_cleanse(content.data, content.allocated);
        return r;
}

static int send_request(ContainerCredentials *request, Error *error);

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata) {
        ContainerCredentials *request = userdata;
        Error error = {};
        int r;

        request->timer = sd_event_source_disable_unref(request->timer);
        r = send_request(request, &error);
        if (r < 0)
                request->done(request, r, &error, request->userdata);
        return 0;
}

static bool try_again(ContainerCredentials *request, int result, int status) {
        bool passing = (result < 0 && result != -E2BIG) || status >= 500 || status == 429;

        return passing && request->attempts < ATTEMPTS &&
               sd_event_add_time_relative(http_client_event(request->http), &request->timer, CLOCK_BOOTTIME,
                                          ATTEMPT_DELAY, TIMER_ACCURACY_EXACT, on_timer, request) >= 0;
}

static void on_answer(HttpTransfer *transfer, int result, const Error *http_error, void *userdata) {
        ContainerCredentials *request = userdata;
        int status = result < 0 ? 0 : http_transfer_status(transfer);
        const Buffer *body = http_transfer_body(transfer);
        Error error = *http_error;

        if (status == 200)
                result = credentials_parse_json(buffer_string(body), body->size, &request->found, &error);
        else if (try_again(request, result, status))
                return;
        else if (result >= 0)
                result = error_set_fault(&error, -EREMOTEIO, FAULT_HOST, "status %d", status);
        request->done(request, result, &error, request->userdata);
}

static int send_request(ContainerCredentials *request, Error *error) {
        const HttpRequest http = {
                .method = "GET",
                .url = request->url,
                .headers = request->headers,
                .timeouts = { .connect = CONNECT_TIMEOUT, .total = TOTAL_TIMEOUT },
                .no_proxy = true,
        };

        request->attempts++;
        request->transfer = http_transfer_free(request->transfer);
        return http_start(request->http, &http, on_answer, request, &request->transfer, error);
}

int container_credentials_start(HttpClient *http, char *const *environment, ContainerCredentialsDone done,
                                void *userdata, ContainerCredentials **ret, Error *error) {
        _cleanup_(container_credentials_freep) ContainerCredentials *request = calloc(1, sizeof(*request));
        int r;

        if (!request)
                return error_oom(error);
        request->http = http;
        request->done = done;
        request->userdata = userdata;
        r = choose_url(request, environment, error);
        if (r >= 0)
                r = strv_append(&request->headers, "Accept: application/json") < 0 ? error_oom(error) : 0;
        if (r >= 0)
                r = add_token(request, environment, error);
        if (r >= 0)
                r = send_request(request, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(request);
        return 0;
}

Credentials container_credentials_take(ContainerCredentials *request) {
        Credentials found = request->found;

        request->found = (Credentials){};
        return found;
}
