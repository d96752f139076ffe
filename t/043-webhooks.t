# Contract 3.14 and 4: nginx is the receiver too.  A delivery is seen in the
# log, where `rewrite_log` tells of the place that its headers lead to.

use Test::Nginx::Socket;

our $HttpConfig = <<'_EOC_';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/state;
    wagw_api_key webhooks-test-key;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
_EOC_

our $Config = <<'_EOC_';
    rewrite_log on;

    location / {
        wagw on;
    }

    location = /hook {
        if ($http_x_hub_signature_256 !~ "^sha256=[0-9a-f]+$") {
            rewrite ^ /plain-$http_x_webhook_event-$http_x_retry_attempt-$http_x_instance_id last;
        }
        if ($http_x_webhook_signature ~ "^sha256=[0-9a-f]+$") {
            rewrite ^ /signed-$http_x_webhook_event-$http_x_retry_attempt-$http_x_mine last;
        }
        return 400;
    }

    location ~ ^/(?:plain|signed)-(.*)$ {
        return 200 "took $1";
    }

    location = /fails {
        rewrite ^ /failed-$http_x_webhook_event-$http_x_retry_attempt last;
    }

    location ~ ^/failed- {
        return 500 "no";
    }

    location = /moved {
        return 302 /hook;
    }
_EOC_

our $Allow = 'wagw_outbound_allow 127.0.0.1/32;';
our $Hook  = "http://127.0.0.1:" . server_port();

add_block_preprocessor(sub {
    my $block = shift;

    $block->set_value('http_config', $HttpConfig . (defined $block->outside ? '' : $Allow));
    $block->set_value('config', $Config);
    $block->set_value('more_headers', "X-API-Key: webhooks-test-key\nContent-Type: application/json");
});

plan tests => repeat_each() * 98;

run_tests();

__DATA__

=== TEST 1: a test delivery, and what the receiver said
--- request eval
["POST /api/webhook/test\n{\"url\":\"$::Hook/hook\"}",
 "POST /api/webhook/test\n{\"url\":\"$::Hook/hook\",\"event\":\"message.received\",\"data\":{\"a\":1},\"secret\":\"s\"}",
 "POST /api/webhook/test\n{\"url\":\"$::Hook/fails\"}",
 "POST /api/webhook/test\n{\"url\":\"$::Hook/moved\"}",
 "POST /api/webhook/test\n{\"url\":\"http://127.0.0.1:1/\"}"]
--- error_code eval
[200, 200, 400, 400, 400]
--- response_body_like eval
['"data":\{"success":true,"webhookId":"[0-9a-f-]{36}","statusCode":200,"response":"took webhook.test-0-","durationMs":\d+\},"message":"Webhook test successful"',
 '"response":"took message.received-0-"',
 '"error":"Webhook test failed","code":"VALIDATION_FAILED","details":\{"success":false,.*"statusCode":500,"response":"no"',
 '"statusCode":302', '"statusCode":null,"response":"","error":"[^"]+"']



=== TEST 2: addresses that are not public are refused unless listed
--- outside
--- request eval
[map { "POST /api/webhook/test\n{\"url\":\"http://$_/\"}" } '127.0.0.1', '2130706433', '10.1.2.3', '172.31.0.1', '192.168.1.1',
 '169.254.169.254', '100.64.0.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '[fd00::1]', '[fe80::1]', '[64:ff9b::7f00:1]', '224.0.0.1', 'localhost']
--- error_code eval
[(400) x 15]
--- response_body_like eval
[('"error":"address not allowed by the outbound policy"') x 15]



=== TEST 3: only http and https
--- request eval
[map { "POST /api/webhook/test\n{\"url\":\"$_\"}" } 'file:///etc/passwd', 'ftp://example.com/', 'gopher://example.com/', 'http:///x', 'nothing']
--- error_code eval
[(400) x 5]
--- response_body_like eval
[('"field":"url"') x 5]



=== TEST 4: an event reaches the webhook of its instance, signed, with its headers
--- request eval
["POST /api/instance/create\n{\"name\":\"n\",\"id\":\"one\",\"webhookUrl\":\"$::Hook/hook\",\"webhookSecret\":\"s\",\"webhookHeaders\":{\"X-Mine\":\"yes\"}}"]
--- error_code eval
[201]
--- response_body_like eval
['"webhookUrl":"http://127.0.0.1:\d+/hook"']
--- wait: 0.3
--- error_log
/signed-session.status-0-yes



=== TEST 5: an alias, without a secret, to a receiver that fails
--- request eval
["POST /api/instance/create\n{\"name\":\"n\",\"id\":\"one\",\"webhookUrl\":\"$::Hook/fails\",\"webhookEvents\":[\"connection.update\"]}"]
--- error_code eval
[201]
--- response_body_like eval
['"id":"one"']
--- wait: 0.3
--- error_log
/failed-connection.update-0



=== TEST 6: one webhook per address, changed in place
--- request eval
["POST /api/instance/create\n{\"name\":\"n\",\"id\":\"one\",\"autoConnect\":false}",
 "PUT /api/instance/one/webhook\n{\"url\":\"$::Hook/hook\",\"secret\":\"s\",\"ordered\":true,\"batch\":{\"max\":5,\"ms\":100},\"filter\":{\"types\":[\"text\"]}}",
 "PUT /api/instance/one/webhook\n{\"url\":\"$::Hook/hook\",\"secret\":null,\"enabled\":false}",
 "GET /api/instance/one/webhook",
 "PUT /api/instance/one/webhook\n{\"url\":\"$::Hook/hook\",\"id\":\"nope\"}"]
--- error_code eval
[201, 200, 200, 200, 404]
--- response_body_like eval
['"id":"one"', '"hasSecret":true,"batch":\{"max":5,"ms":100\},"filter":\{"types":\["text"\]\},"ordered":true', '"enabled":false,.*"hasSecret":false,"batch":\{',
 '"data":\[\{"id":"[^"]+","url":"[^"]+","events":\["\*"\],"enabled":false[^]]*\]\},"ordered":true[^]]*\],"count":1', '"code":"WEBHOOK_NOT_FOUND"']



=== TEST 7: what is wrong with a webhook is named
--- request eval
["POST /api/instance/create\n{\"name\":\"n\",\"id\":\"one\",\"autoConnect\":false}",
 map { "PUT /api/instance/one/webhook\n$_" } '{}', '{"url":"ftp://x/"}', '{"url":"http://x/","events":["nothing"]}', '{"url":"http://x/","headers":{"A b":"c"}}',
 '{"url":"http://x/","headers":{"A":"b\r\nC: d"}}', '{"url":"http://x/","retry":{"policy":"never"}}', '{"url":"http://x/","retry":{"attempts":0}}',
 '{"url":"http://x/","batch":{"max":1000}}', '{"url":"http://x/","filter":{"chats":"all"}}']
--- error_code eval
[201, (400) x 9]
--- response_body_like eval
['"id":"one"', '"field":"url"', '"field":"url"', '"field":"events"', '"field":"headers"', '"field":"headers"', '"field":"retry.policy"', '"field":"retry.attempts"',
 '"field":"batch.max"', '"field":"filter.chats"']



=== TEST 8: log, statistics and retry of what is not there
--- request eval
["GET /api/webhook/logs", "GET /api/webhook/stats", "GET /api/webhook/logs/nope", "POST /api/webhook/retry/nope", "GET /api/webhook/logs?instanceId=nope",
 "DELETE /api/webhook/logs?days=7"]
--- error_code eval
[200, 200, 404, 404, 404, 200]
--- response_body_like eval
['"data":\[\],"count":0,"total":0', '"period":"7 days","total":0,"success":0,"failed":0,"successRate":"0.00","topEvents":\[\],"instanceId":null',
 '"code":"WEBHOOK_NOT_FOUND"', '"code":"WEBHOOK_NOT_FOUND"', '"code":"INSTANCE_NOT_FOUND"', '"data":\{"deletedCount":0\}.*"deletedCount":0']
