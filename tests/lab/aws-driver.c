/* Makes one request to AWS (or what stands for it) through agent/net and prints what came of it as "name=value" lines: the
 * hands of tests/lab/test_aws.py. Where to, and as whom, is in the environment, as for the AWS command line. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/hex.h"
#include "agent/base/strv.h"
#include "agent/net/autoscaling.h"
#include "agent/net/digest.h"
#include "agent/net/s3.h"
#include "agent/net/sqs.h"
#include "agent/net/sts.h"

#define FILE_MAX (64U * 1024U * 1024U)

typedef struct Driver {
        sd_event *event;
        AwsContext *aws;
        bool is_list;
        /* One of these. */
        S3Request *s3;
        AutoScalingRequest *autoscaling;
        StsRequest *sts;
        SqsRequest *sqs;
        ImdsRequest *imds;
        int fd;
} Driver;

static int end(Driver *driver, int result, const Error *error) {
        printf("result=%d\nerror=%s\n", result, error->message);
        return sd_event_exit(driver->event, 0);
}

static void on_s3(S3Request *request, int result, const Error *error, void *userdata) {
        Driver *driver = userdata;
        S3Reply reply = s3_request_reply(request);

        printf("etag=%s\nsize=%" PRIu64 "\ntime=%" PRIu64 "\n", reply.etag ? reply.etag : "", reply.size,
               reply.server_time / USEC_PER_SEC);
        if (result == S3_OK && !driver->is_list)
                printf("body=%s\n", (const char *) reply.body);
        end(driver, result, error);
}

static int on_object(const S3Object *object, _unused_ void *userdata) {
        printf("%s=%s\n", object->is_prefix ? "prefix" : "key", object->key);
        return 0;
}

static void on_sts(StsRequest *request, int result, const Error *error, void *userdata) {
        const StsIdentity *identity = sts_request_identity(request);

        if (result == 0)
                printf("account=%s\narn=%s\nuser=%s\n", identity->account, identity->arn, identity->user_id);
        end(userdata, result, error);
}

static void on_autoscaling(AutoScalingRequest *request, int result, const Error *error, void *userdata) {
        const AutoScalingInstance *instances;
        const AutoScalingHook *hooks;
        size_t n;

        instances = autoscaling_request_instances(request, &n);
        for (size_t i = 0; i < n; i++)
                printf("instance=%s %s %s %d\n", instances[i].id, instances[i].group, instances[i].state_text,
                       instances[i].healthy);
        hooks = autoscaling_request_hooks(request, &n);
        for (size_t i = 0; i < n; i++)
                printf("hook=%s %d %" PRIu64 "\n", hooks[i].name, hooks[i].is_launch,
                       hooks[i].heartbeat_timeout / USEC_PER_SEC);
        end(userdata, result, error);
}

static void on_sqs(SqsRequest *request, int result, const Error *error, void *userdata) {
        const SqsMessages *messages = sqs_request_messages(request);

        if (sqs_request_queue_url(request))
                printf("url=%s\n", sqs_request_queue_url(request));
        for (size_t i = 0; i < messages->n; i++)
                printf("body=%s\nreceipt=%s\n", messages->items[i].body, messages->items[i].receipt);
        end(userdata, result, error);
}

static int put(Driver *driver, char **argv, Error *error) {
        bool create = string_equal(argv[3], "create");
        S3PutOptions options = {
                .body = { .data = argv[2], .size = strlen(argv[2]) },
                .if_none_match = create,
                .if_match = create ? NULL : argv[3],
        };

        return s3_put_start(driver->aws, argv[0], argv[1], &options, on_s3, driver, &driver->s3, error);
}

static int put_file(Driver *driver, char **argv, Error *error) {
        _cleanup_buffer_ Buffer content = {};
        char sha256[DIGEST_HEX_SIZE];
        S3PutOptions options = { .sha256 = sha256 };
        int r;

        driver->fd = open(argv[2], O_RDONLY | O_CLOEXEC);
        r = driver->fd < 0 ? -errno : file_read_fd(driver->fd, FILE_MAX, &content);
        if (r >= 0)
                r = digest_sha256_hex(content.data, content.size, sha256);
        if (r < 0)
                return error_set_errno(error, r, "%s", argv[2]);
        options.body.fd = driver->fd;
        options.body.size = content.size;
        return s3_put_start(driver->aws, argv[0], argv[1], &options, on_s3, driver, &driver->s3, error);
}

static int get(Driver *driver, char **argv, Error *error) {
        S3GetOptions options = { .if_none_match = argv[2] };

        return s3_get_start(driver->aws, argv[0], argv[1], &options, on_s3, driver, &driver->s3, error);
}

static int range(Driver *driver, char **argv, Error *error) {
        S3GetOptions options = { .range_offset = strtoul(argv[2], NULL, 10),
                                 .range_size = strtoul(argv[3], NULL, 10) };

        return s3_get_start(driver->aws, argv[0], argv[1], &options, on_s3, driver, &driver->s3, error);
}

static int head(Driver *driver, char **argv, Error *error) {
        return s3_head_start(driver->aws, argv[0], argv[1], on_s3, driver, &driver->s3, error);
}

static int delete (Driver *driver, char **argv, Error *error) {
        return s3_delete_start(driver->aws, argv[0], argv[1], on_s3, driver, &driver->s3, error);
}

static int list(Driver *driver, char **argv, Error *error) {
        S3ListOptions options = { .prefix = argv[1], .delimiter = argv[2], .page_size = 2 };

        driver->is_list = true;
        return s3_list_start(driver->aws, argv[0], &options, on_object, on_s3, driver, &driver->s3, error);
}

static int identity(Driver *driver, _unused_ char **argv, Error *error) {
        return sts_get_caller_identity_start(driver->aws, on_sts, driver, &driver->sts, error);
}

static int instances(Driver *driver, char **argv, Error *error) {
        return autoscaling_describe_instances_start(driver->aws, argv, on_autoscaling, driver,
                                                    &driver->autoscaling, error);
}

static int hooks(Driver *driver, char **argv, Error *error) {
        return autoscaling_describe_hooks_start(driver->aws, argv[0], on_autoscaling, driver,
                                                &driver->autoscaling, error);
}

static int queue_url(Driver *driver, char **argv, Error *error) {
        return sqs_get_queue_url_start(driver->aws, argv[0], on_sqs, driver, &driver->sqs, error);
}

static int receive(Driver *driver, char **argv, Error *error) {
        const SqsReceive order = { argv[0], SQS_MESSAGES_MAX, (unsigned) strtoul(argv[1], NULL, 10), 30 };

        return sqs_receive_start(driver->aws, &order, on_sqs, driver, &driver->sqs, error);
}

static int remove_messages(Driver *driver, char **argv, Error *error) {
        return sqs_delete_start(driver->aws, argv[0], argv + 1, on_sqs, driver, &driver->sqs, error);
}

static int give_back(Driver *driver, char **argv, Error *error) {
        return sqs_hide_start(driver->aws, argv[0], argv + 1, 0, on_sqs, driver, &driver->sqs, error);
}

static int endpoints(Driver *driver, char **argv, _unused_ Error *error) {
        static const char *const buckets[] = { "-", "bucket-1", "with.dots" };

        STRV_FOREACH(region, argv)
                for (AwsService i = 0; i < AWS_SERVICE_COUNT; i++)
                        for (size_t b = i == AWS_S3; b < (i == AWS_S3 ? ELEMENTSOF(buckets) : 1); b++) {
                                _cleanup_free_ char *url = NULL;

                                (void) endpoint_url(aws_context_endpoints(driver->aws), i, *region,
                                                    i == AWS_S3 ? buckets[b] : NULL, "", &url, NULL);
                                printf("%s %s %s %s\n", aws_service_signing_name(i), *region, buckets[b],
                                       url ?: "none");
                        }
        return sd_event_exit(driver->event, 0);
}

static void on_metadata(ImdsRequest *request, int result, const Error *error, void *userdata) {
        Driver *driver = userdata;

        printf("value=%s\nendpoint=%s\n", imds_request_value(request),
               imds_endpoint(aws_context_imds(driver->aws)));
        end(driver, result, error);
}

static int metadata(Driver *driver, char **argv, Error *error) {
        return imds_get_start(aws_context_imds(driver->aws), argv[0], on_metadata, driver, &driver->imds,
                              error);
}

static const struct {
        const char *name;
        int arguments_min;
        int (*start)(Driver *driver, char **argv, Error *error);
} commands[] = {
        { "put", 3, put },             /* BUCKET KEY TEXT [create|ETAG] */
        { "put-file", 3, put_file },   /* BUCKET KEY PATH */
        { "get", 2, get },             /* BUCKET KEY [ETAG] */
        { "range", 4, range },         /* BUCKET KEY OFFSET SIZE */
        { "head", 2, head },           /* BUCKET KEY */
        { "delete", 2, delete },       /* BUCKET KEY */
        { "list", 2, list },           /* BUCKET PREFIX [DELIMITER] */
        { "endpoints", 1, endpoints }, /* REGION… */
        { "metadata", 1, metadata },   /* PATH */
        { "identity", 0, identity },
        { "instances", 1, instances },    /* ID… */
        { "hooks", 1, hooks },            /* GROUP */
        { "queue-url", 1, queue_url },    /* NAME */
        { "receive", 2, receive },        /* URL SECONDS */
        { "remove", 2, remove_messages }, /* URL RECEIPT… */
        { "give-back", 2, give_back },    /* URL RECEIPT… */
};

static int start(Driver *driver, int argc, char **argv, Error *error) {
        int r;

        r = aws_context_new(driver->event, &(AwsOptions){}, &driver->aws, error);
        if (r < 0)
                return r;
        for (size_t i = 0; argc > 1 && i < ELEMENTSOF(commands); i++)
                if (string_equal(argv[1], commands[i].name) && argc - 2 >= commands[i].arguments_min)
                        return commands[i].start(driver, argv + 2, error);
        return error_set(error, -EINVAL, "no such command, or too few arguments");
}

int main(int argc, char **argv) {
        Driver driver = { .fd = -1 };
        Error error = {};
        int r;

        r = sd_event_new(&driver.event);
        if (r < 0)
                return EXIT_FAILURE;
        r = start(&driver, argc, argv, &error);
        if (r < 0)
                printf("result=%d\nerror=%s\n", r, error.message);
        else
                r = sd_event_loop(driver.event);
        s3_request_free(driver.s3);
        autoscaling_request_free(driver.autoscaling);
        sts_request_free(driver.sts);
        sqs_request_free(driver.sqs);
        imds_request_free(driver.imds);
        aws_context_free(driver.aws);
        close_fd(driver.fd);
        sd_event_unref(driver.event);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
