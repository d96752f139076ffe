# What can be said about the tree without running it: the module shows no
# symbol it should not, the pages agree with the tables, links lead somewhere.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/../..' or die $!;

sub text {
    my $path = shift;

    open my $f, '<', $path or die "$path: $!\n";
    local $/;
    return scalar <$f>;
}

# modules are opened RTLD_GLOBAL: a name more could be another module's
my $module = $ENV{TEST_NGINX_LOAD_MODULES} || 'build/ngx_http_wagw_module.so';
my @seen = sort map { (split)[-1] } grep { !/ (?:__asan|__ubsan|__odr_asan|_fini|_init)/ } `nm -D --defined-only $module`;
is_deeply(\@seen, [qw(curve25519_donna ngx_module_names ngx_module_order ngx_modules)], 'symbols of the module');

# every directive has its section, in the order of the table
my @table = text('ngx_wagw/ngx_http_wagw_module.c') =~ /\{ngx_string\("(wagw\w*)"\),/g;
my @page  = map { split /,\s*/ } text('docs/directives.md') =~ /^## ((?:wagw\w*)(?:, wagw\w+)*)$/mg;
is_deeply(\@page, \@table, 'docs/directives.md has the directives of the module');

# and the section says where the directive may stand
my %where = text('ngx_wagw/ngx_http_wagw_module.c') =~ /\{ngx_string\("(wagw\w*)"\),\s*([A-Z_]+)/g;
my %context = (ANYWHERE => 'http, server, location', NGX_HTTP_MAIN_CONF => 'http', NGX_HTTP_LOC_CONF => 'location');
my @wrong;
for my $section (split /^(?=## )/m, text('docs/directives.md')) {
    my ($names) = $section =~ /^## (wagw.*)$/m or next;
    my ($said) = $section =~ /Context: (.*)$/m;
    push @wrong, grep { ($said // '') ne $context{$where{$_}} || $section !~ /^Syntax: .* Default: \S/m } split /,\s*/, $names;
}
is_deeply(\@wrong, [], 'every directive says syntax, default and its context');

# every admin call of the sandbox is on its page
my $sandbox = text('docs/sandbox.md');
is_deeply([grep { $sandbox !~ /`$_[?&` {]|`$_\[/ } map { "$_->[0] $_->[1]" } map { [split] }
    map { s/[",]//gr } text('t/sandbox/admin.c') =~ /^\s+\{("(?:GET|POST|DELETE)", "[^"]+")/mg], [], 'admin calls without a line in docs/sandbox.md');
my @options = text('t/sandbox/main.c') =~ /\{"([a-z-]+)", (?:required|no)_argument/g;
is_deeply([grep { $_ ne "help" && $sandbox !~ /`--$_\b/ } @options], [], 'options of the sandbox without a line in docs/sandbox.md');

# every directive is in a test
my $tests = join '', map { text($_) } glob('t/*.t');
is_deeply([grep { $tests !~ /\b$_ / } grep { !/_(?:dashboard|metrics|events|password_file|certificate)$/ } @table], [], 'directives without a test in t/*.t');

# relative links of the pages
my @dead;
for my $page (glob('*.md'), glob('docs/*.md')) {
    my $dir = dirname($page);
    for my $link (text($page) =~ /\]\(([^)#\s]+)/g) {
        push @dead, "$page: $link" if $link !~ /^\w+:/ && !-e "$dir/$link";
    }
}
is_deeply(\@dead, [], 'links lead to files');

# what README gives to paste is the example that a test starts
my ($pasted) = text('README.md') =~ /```nginx\n(.*?)```/s;
my $minimal = text('examples/minimal.conf');
for ($pasted, $minimal) {
    s/^\s*#.*\n//mg;
    s/^\s+//mg;
}
$pasted =~ s/^wagw_(?:state_dir|api_key)\s.*\n//mg;
is($pasted, $minimal, 'the configuration in README is examples/minimal.conf with a directory and a key');

my @files = grep { !m{/node_modules/} } glob('core/*/*.[ch] ngx_wagw/*.[ch] t/unit/*.[ch] t/sandbox/*.[ch] t/fuzz/*.[ch] t/bench/*.[ch]');
is_deeply([grep { text($_) =~ /[ \t]+$/m } @files], [], 'no blanks at line ends');
is_deeply([grep { text($_) =~ /\b(?:TODO|FIXME)\b/ } @files], [], 'nothing is left for later');
is_deeply([grep { my $n = () = text($_) =~ /\n/g; $n >= 800 } grep { m{^(?:core|ngx_wagw)/} } @files], [], 'no file of 800 lines in core/ and ngx_wagw/');

done_testing();
