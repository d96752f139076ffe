#!/usr/bin/env perl
# Runs test programs one after the other and adds up what they print.
#
#   suite.pl [PART:COMMAND...]     PART names the program in the summary
#
# Every program speaks TAP (cmocka with CMOCKA_MESSAGE_OUTPUT=tap, Test::More,
# node --test).  What passes is one line; what fails is shown whole.  A program
# that ends with an error, or before its plan is done, is a failure even when
# no test said so.  The last line is the total of all.

use strict;
use warnings;
use IO::Handle;
use Time::HiRes qw(time);

STDOUT->autoflush(1);
$ENV{CMOCKA_MESSAGE_OUTPUT} = 'tap';

my %sum = (passed => 0, failed => 0, skipped => 0);
my @bad;

for my $arg (@ARGV) {
    my ($name, $command) = split /:/, $arg, 2;
    my $began = time;
    my ($passed, $failed, $skipped) = run($name, $command);

    $sum{passed}  += $passed;
    $sum{failed}  += $failed;
    $sum{skipped} += $skipped;
    push @bad, $name if $failed;
    printf "%-34s %5d passed, %d failed%s  (%.1f s)\n", $name, $passed, $failed,
        $skipped ? ", $skipped skipped" : '', time - $began;
}

print "failed: @bad\n" if @bad;
printf "%d passed, %d failed%s\n", @sum{qw(passed failed)}, $sum{skipped} ? ", $sum{skipped} skipped" : '';
exit($sum{failed} || !$sum{passed} ? 1 : 0);

sub run {
    my ($name, $command) = @_;
    my ($plan, $seen, $skip_all) = (0, 0, 0);
    my %n = (passed => 0, failed => 0, skipped => 0);
    my (%node, @out);

    my $pid = open(my $pipe, '-|', "$command 2>&1") or die "cannot start $command: $!\n";
    while (my $line = <$pipe>) {
        push @out, $line;
        if ($line =~ /^1\.\.(\d+)(\s*#\s*skip)?/i) {
            $plan += $1;
            $skip_all = 1 if $2;
        } elsif ($line =~ /^(not )?ok\b(.*)/) {
            my ($not, $rest) = ($1, $2);

            $seen++;
            if ($rest =~ /#\s*skip/i) {
                $n{skipped}++;
            } elsif ($not && $rest !~ /#\s*todo/i) {
                $n{failed}++;
            } else {
                $n{passed}++;
            }
        } elsif ($line =~ /^# (pass|fail|cancelled|skipped|todo) (\d+)$/) {
            $node{$1} = $2;
        } elsif ($line =~ /^vectors /) {
            print "  $line";
        }
    }
    close($pipe);
    my $status = $?;

    # node counts the tests inside of suites too
    if (defined $node{pass}) {
        %n = (
            passed  => $node{pass} + ($node{todo} || 0),
            failed  => ($node{fail} || 0) + ($node{cancelled} || 0),
            skipped => $node{skipped} || 0,
        );
    }
    $n{skipped}++ if $skip_all;
    if ($status && !$n{failed}) {
        push @out, sprintf "# %s ended with %s\n", $name,
            $status & 127 ? 'signal ' . ($status & 127) : 'status ' . ($status >> 8);
        $n{failed}++;
    } elsif (!$skip_all && ($plan == 0 || $seen != $plan) && !$n{failed}) {
        push @out, "# $name: plan of $plan tests, $seen seen\n";
        $n{failed}++;
    }
    print map { "  | $_" } @out if $n{failed};
    return @n{qw(passed failed skipped)};
}
