/* TLS as agent/net/http has it, against openssl's own server. */

#include <curl/curl.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/strv.h"
#include "agent/net/http.h"
#include "tests/unit/http-server.h"
#include "tests/unit/test.h"

typedef struct Setup {
        TestFolder *folder;
        sd_event *event;
        pid_t server;
        unsigned port;
        char certificate[TEST_PATH_MAX + 16];
} Setup;

/* Where this curl finds the system's certificates. */
static curl_version_info_data curl_info;

curl_version_info_data *__real_curl_version_info(CURLversion age);
curl_version_info_data *__wrap_curl_version_info(CURLversion age);
curl_version_info_data *__wrap_curl_version_info(_unused_ CURLversion age) {
        return &curl_info;
}

typedef struct Outcome {
        bool done;
        bool is_resumed; /* as openssl's page says */
        int result;
        Error error;
} Outcome;

/* Runs openssl in the test's folder; its output goes to a pipe, if RET_OUTPUT asks for one. */
static pid_t openssl(const Setup *setup, char *const *argv, int *ret_output) {
        int output[2];
        pid_t pid;

        assert_int_equal(pipe2(output, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);

                if (fchdir(setup->folder->fd) < 0 || dup2(output[1], STDOUT_FILENO) < 0 ||
                    dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
                        _exit(EXIT_FAILURE);
                execvp(argv[0], argv);
                _exit(EXIT_FAILURE);
        }
        close_fd(output[1]);
        if (ret_output)
                *ret_output = output[0];
        else
                close_fd(output[0]);
        return pid;
}

static void make_certificate(const Setup *setup) {
        const char *argv[] = {
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
                "-days",
                "2",
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                NULL,
        };
        int status;
        pid_t pid = openssl(setup, (char *const *) argv, NULL);

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* "ACCEPT 127.0.0.1:PORT" is among the first lines that it prints. */
static unsigned read_port(int fd) {
        _cleanup_fclose_ FILE *output = fdopen(fd, "r");
        char line[256];
        unsigned port = 0;

        assert_non_null(output);
        while (port == 0 && fgets(line, sizeof(line), output))
                (void) sscanf(line, "ACCEPT 127.0.0.1:%u", &port);
        return port;
}

static void start_server(Setup *setup, const char *version) {
        const char *argv[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-key", "key.pem",
                               "-cert",   "cert.pem", "-www",    version,       NULL };
        int output = -1;

        setup->server = openssl(setup, (char *const *) argv, &output);
        setup->port = read_port(output);
        assert_true(setup->port > 0);
}

static int set_up(void **state) {
        Setup *setup = calloc(1, sizeof(*setup));
        void *folder = NULL;

        assert_non_null(setup);
        curl_info = *__real_curl_version_info(CURLVERSION_NOW);
        assert_int_equal(test_folder_setup(&folder), 0);
        setup->folder = folder;
        snprintf(setup->certificate, sizeof(setup->certificate), "%s/cert.pem", setup->folder->path);
        assert_true(sd_event_new(&setup->event) >= 0);
        make_certificate(setup);
        *state = setup;
        return 0;
}

static int tear_down(void **state) {
        Setup *setup = *state;
        void *folder = setup->folder;

        if (setup->server > 0) {
                (void) kill(setup->server, SIGTERM);
                (void) waitpid(setup->server, NULL, 0);
        }
        sd_event_unref(setup->event);
        free(setup);
        return test_folder_teardown(&folder);
}

static void on_done(_unused_ HttpTransfer *transfer, int result, const Error *error, void *userdata) {
        Outcome *outcome = userdata;

        *outcome = (Outcome){ .done = true, .result = result, .error = *error };
}

static Outcome get_with(Setup *setup, HttpClient *client, const char *host) {
        HttpRequest request = { .method = "GET", .timeouts = { .total = 60 * USEC_PER_SEC } };
        HttpTransfer *transfer = NULL;
        Outcome outcome = {};
        char url[64];

        snprintf(url, sizeof(url), "https://%s:%u/", host, setup->port);
        request.url = url;
        assert_int_equal(http_start(client, &request, on_done, &outcome, &transfer, NULL), 0);
        test_wait(setup->event, &outcome.done);
        if (outcome.result == 0) {
                assert_int_equal(http_transfer_status(transfer), 200);
                outcome.is_resumed = strstr(buffer_string(http_transfer_body(transfer)), "\nReused, TLS");
        }
        http_transfer_free(transfer);
        return outcome;
}

static Outcome get(Setup *setup, const char *ca_bundle, const char *host) {
        _cleanup_(http_client_freep) HttpClient *client = NULL;
        HttpOptions options = { .ca_bundle = ca_bundle };

        assert_int_equal(http_client_new(setup->event, &options, &client, NULL), 0);
        return get_with(setup, client, host);
}

static void test_trust(void **state) {
        Setup *setup = *state;
        Outcome outcome;

        start_server(setup, NULL);
        assert_int_equal(get(setup, setup->certificate, "127.0.0.1").result, 0);

        outcome = get(setup, NULL, "127.0.0.1");
        assert_int_equal(outcome.result, -EKEYREJECTED);
        assert_non_null(strstr(outcome.error.message,
                               ": its certificate is not trusted: SSL certificate problem: "
                               "self-signed certificate"));
        assert_int_equal(outcome.error.fault, FAULT_HOST);

        outcome = get(setup, setup->certificate, "localhost"); /* the certificate is for the address */
        assert_int_equal(outcome.result, -EKEYREJECTED);
}

/* As openssl-rehash(1) does. */
static void rehash(const Setup *setup) {
        const char *argv[] = { "openssl", "rehash", ".", NULL };
        int status;
        pid_t pid = openssl(setup, (char *const *) argv, NULL);

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The folder alone is enough: the bundle is not even there. */
static void test_system_folder(void **state) {
        Setup *setup = *state;

        curl_info.capath = setup->folder->path;
        curl_info.cainfo = "/nowhere/ca.pem";
        start_server(setup, NULL);
        assert_int_equal(unlinkat(setup->folder->fd, "key.pem", 0), 0); /* is no certificate */
        rehash(setup);
        assert_int_equal(get(setup, NULL, "127.0.0.1").result, 0);
        assert_int_equal(get(setup, NULL, "localhost").result, -EKEYREJECTED);
}

/* A folder without hashes, a certificate that was added to the bundle by hand: once the client knows, it does not try
 * the folder any more. */
static void test_system_bundle(void **state) {
        Setup *setup = *state;
        _cleanup_(http_client_freep) HttpClient *client = NULL;

        curl_info.capath = setup->folder->path;
        curl_info.cainfo = setup->certificate;
        start_server(setup, NULL);
        assert_int_equal(http_client_new(setup->event, NULL, &client, NULL), 0);
        assert_int_equal(get_with(setup, client, "127.0.0.1").result, 0);
        curl_info.capath = "/nowhere";
        assert_int_equal(unlink(setup->certificate), 0);
        assert_int_equal(get_with(setup, client, "127.0.0.1").result, 0);
}

/* Parsing the system's bundle takes longer than all the rest of a request. */
static void test_bundle_is_read_once(void **state) {
        Setup *setup = *state;
        _cleanup_(http_client_freep) HttpClient *client = NULL;
        HttpOptions options = { .ca_bundle = setup->certificate };

        start_server(setup, NULL); /* it closes each connection after the answer */
        assert_int_equal(http_client_new(setup->event, &options, &client, NULL), 0);
        assert_int_equal(get_with(setup, client, "127.0.0.1").result, 0);
        assert_int_equal(unlink(setup->certificate), 0);
        assert_int_equal(get_with(setup, client, "127.0.0.1").result, 0);
}

static void test_session_is_resumed(void **state) {
        Setup *setup = *state;
        _cleanup_(http_client_freep) HttpClient *client = NULL;
        HttpOptions options = { .ca_bundle = setup->certificate };
        Outcome outcome;

        start_server(setup, NULL); /* it closes each connection after the answer */
        assert_int_equal(http_client_new(setup->event, &options, &client, NULL), 0);
        outcome = get_with(setup, client, "127.0.0.1");
        assert_true(outcome.result == 0 && !outcome.is_resumed);
        outcome = get_with(setup, client, "127.0.0.1");
        assert_true(outcome.result == 0 && outcome.is_resumed);
}

static void test_old_version(void **state) {
        Setup *setup = *state;
        Outcome outcome;

        start_server(setup, "-tls1_1");
        outcome = get(setup, setup->certificate, "127.0.0.1");
        assert_int_equal(outcome.result, -EPROTO);
        assert_non_null(strstr(outcome.error.message, ": TLS handshake failed: "));
}

static void answer_plainly(_unused_ const TestRequest *request, TestReply *reply, _unused_ void *userdata) {
        test_reply(reply, 200, "", "");
}

/* A server that is there but says nothing: the handshake belongs to the connection's time-out. */
static void test_silence(void **state) {
        Setup *setup = *state;
        _cleanup_(http_client_freep) HttpClient *client = NULL;
        TestServer *server = test_server_new(setup->event, answer_plainly, NULL);
        HttpRequest request = { .method = "GET", .timeouts = { .connect = 300 * USEC_PER_MSEC } };
        HttpTransfer *transfer = NULL;
        Outcome outcome = {};
        char url[64];

        snprintf(url, sizeof(url), "https%s/", strchr(test_server_url(server), ':'));
        request.url = url;
        assert_int_equal(http_client_new(setup->event, NULL, &client, NULL), 0);
        assert_int_equal(http_start(client, &request, on_done, &outcome, &transfer, NULL), 0);
        test_wait(setup->event, &outcome.done);
        assert_int_equal(outcome.result, -ETIMEDOUT);
        assert_non_null(strstr(outcome.error.message, "timed out: no connection within 300ms"));
        http_transfer_free(transfer);
        test_server_free(server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_trust),
                TEST(test_system_folder),
                TEST(test_system_bundle),
                TEST(test_bundle_is_read_once),
                TEST(test_session_is_resumed),
                TEST(test_old_version),
                TEST(test_silence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
