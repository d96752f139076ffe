# Idempotency-Key: the first answer is the answer.

use Test::Nginx::Socket 'no_plan';

no_shuffle();
no_root_location();

# nothing listens where WhatsApp is said to be, and no instance connects
our $Common = <<'END';
    wagw_state_dir $TEST_NGINX_SERVER_ROOT/wagw;
    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;
END

our $Key = 'wagw_api_key test-master-key-of-the-tests;';

add_block_preprocessor(sub {
    my $block = shift;
    my $http  = $block->http_config;

    $block->set_value('http_config', $Common . (defined $http ? $http : $Key));
    if (!defined $block->config) {
        $block->set_value('config', "location / {\n    wagw on;\n}\n");
    }
    if (!defined $block->more_headers) {
        $block->set_value('more_headers', "X-API-Key: test-master-key-of-the-tests\nContent-Type: application/json\n");
    }
});

run_tests();

__DATA__

=== TEST 1: a repeat gets the stored answer
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/json
Idempotency-Key: create-1
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"autoConnect\":false}",
 "POST /api/instance/create\n{\"name\":\"x\",\"autoConnect\":false}",
 "GET /api/instance"]
--- error_code eval
[201, 201, 200]
--- response_headers eval
["! Idempotent-Replayed", "Idempotent-Replayed: true", "! Idempotent-Replayed"]
--- response_body_like eval
['"success":true', '"success":true', '"count":1']



=== TEST 2: another body under the same key is a conflict
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/json
Idempotency-Key: create-2
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"autoConnect\":false}",
 "POST /api/instance/create\n{\"name\":\"y\",\"autoConnect\":false}"]
--- error_code eval
[201, 409]
--- response_body_like eval
['"success":true', '"code":"IDEMPOTENCY_CONFLICT"']



=== TEST 3: another path is another key
--- more_headers
X-API-Key: test-master-key-of-the-tests
Content-Type: application/json
Idempotency-Key: create-3
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"idem\",\"autoConnect\":false}",
 "POST /api/auth/generate-key\n{\"name\":\"x\"}"]
--- error_code eval
[201, 201]



=== TEST 4: a key that is too long is refused
--- more_headers eval
"X-API-Key: test-master-key-of-the-tests\nContent-Type: application/json\nIdempotency-Key: " . ('k' x 129)
--- request
POST /api/instance/create
{"name":"x","autoConnect":false}
--- error_code: 400
--- response_body_like: "code":"VALIDATION_FAILED"
