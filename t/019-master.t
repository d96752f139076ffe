# The same with a master process: the owner is a process of its own.

use Test::Nginx::Socket 'no_plan';

no_shuffle();
no_root_location();
master_on();
workers(2);

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

=== TEST 1: calls of two workers meet the one owner
--- request eval
["POST /api/instance/create\n{\"name\":\"x\",\"id\":\"shared\",\"autoConnect\":false}",
 "GET /api/instance/shared", "GET /api/instance/shared", "GET /api/instance/shared", "GET /api/instance/shared"]
--- error_code eval
[201, 200, 200, 200, 200]
--- error_log
start wagw owner process
--- no_error_log
[alert]



=== TEST 2: a key is known to every worker at once
--- request eval
["POST /api/auth/generate-key\n{\"name\":\"x\",\"permissions\":[\"read\"]}", "GET /api/instance", "GET /health"]
--- error_code eval
[201, 200, 200]



=== TEST 3: without wagw on anywhere there is no owner
--- config
    location / {
        return 200 "plain";
    }
--- request
GET /
--- response_body chomp
plain
--- no_error_log
start wagw owner process
