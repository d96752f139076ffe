# Pins what the runner of t/lib means by the dialect, and how it counts: the
# plan below is the one that upstream's Test::Nginx::Socket needs too.

use Test::Nginx::Socket;

repeat_each(2);
no_shuffle();

plan tests => repeat_each() * (3 + 5 + 3 + 1 + 6 + 4 + 6 + 2 + 2 + 1 + 2);

our $HttpConfig = 'log_format short "$request_uri";';

add_block_preprocessor(sub {
    my $block = shift;

    if (!defined $block->http_config) {
        $block->set_value('http_config', $HttpConfig);
    }
});

run_tests();

__DATA__

=== TEST 1: status, body and a line of the log are one test each
--- config
    location = /hello {
        return 200 "hello\n";
    }
--- request
GET /hello
--- response_body
hello
--- error_log
GET /hello HTTP/1.1



=== TEST 2: headers are one test each, and so are forbidden lines
--- config
    location = /headers {
        add_header X-Got "$http_x_sent";
        return 200 "ok";
    }
--- request
GET /headers
--- more_headers
X-Sent: a b
--- response_headers
X-Got: a b
! X-Not
--- no_error_log
[error]
[alert]



=== TEST 3: the body reaches nginx, patterns see the response
--- config
    location = /body {
        add_header X-Length "$http_content_length" always;
        return 404 "not here";
    }
--- request
POST /body
four
--- response_headers_like
X-Length: \d
--- response_body_like: ^not h
--- error_code: 404



=== TEST 4: without a section only the status is a test
--- config
    location = /none {
        return 200;
    }
--- request
GET /none



=== TEST 5: several requests have an array of each expectation
--- config
    location /many {
        return 200 "$request_uri";
    }
    location = /gone {
        return 410 "gone";
    }
--- request eval
["GET /many/1", "GET /gone", "GET /many/3"]
--- error_code eval
[200, 410, 200]
--- response_body eval
["/many/1", "gone", "/many/3"]



=== TEST 6: pipelined requests count one by one
--- config
    location /pipe {
        return 200 "$request_method";
    }
--- pipelined_requests eval
["GET /pipe/1", "POST /pipe/2\nxyz"]
--- response_body eval
["GET", "POST"]



=== TEST 7: lines of the log are looked for after each request
--- config
    location /twice {
        return 200;
    }
--- request eval
["GET /twice", "GET /twice"]
--- error_code eval
[200, 200]
--- error_log eval
[qr/http request line: "GET \/twice/, "http header done"]



=== TEST 8: files below the html directory, variables in the configuration
--- config
    location /files/ {
        alias $TEST_NGINX_HTML_DIR/;
    }
--- user_files
>>> one.txt
first
>>> two.txt
second
--- request
GET /files/two.txt
--- response_body
second



=== TEST 9: a raw request is sent as it is
--- config
    location = /raw {
        return 200 "raw";
    }
--- raw_request eval
"GET /raw HTTP/1.0\r\n\r\n"
--- response_body chomp
raw



=== TEST 10: an ignored response is no test
--- config
    location = /ignored {
        return 444;
    }
--- request
GET /ignored
--- ignore_response
--- no_error_log
[alert]



=== TEST 11: chunked body
--- config
    location = /chunked {
        return 200 "$http_transfer_encoding";
    }
--- more_headers
Transfer-Encoding: chunked
--- request
POST /chunked
abc
--- response_body chomp
chunked



=== TEST 12: this block is none
--- SKIP
--- config
    no_such_directive on;
--- request
GET /
