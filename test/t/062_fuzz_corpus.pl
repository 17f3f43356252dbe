# The inputs of the fuzzer's corpus, replayed in the engine without a server, under the
# address and undefined sanitizers.
#
# Promise: none of them makes the engine read or write beyond its memory, overflow an
# integer, fail an assertion or raise an error that only a bug could.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my ($output, $error) = ('', '');

# a compiler without the sanitizers' libraries is no reason to fail
IPC::Run::run([ 'sh', '-c', "echo 'int main(void) { return 0; }' | gcc -fsanitize=address,undefined -x c - -o $folder/probe && $folder/probe" ],
	'>&', \$output)
  or plan skip_all => "gcc has no address sanitizer: $output";

ok(IPC::Run::run([ 'test/fuzz/build', 'replay', "$folder/replay" ], '>&', \$output), 'the fuzz target compiles')
  or BAIL_OUT($output);

# what the conformance cases of the tree make, too
mkdir "$folder/cases";
ok(IPC::Run::run([ 'perl', 'test/fuzz/cases', "$folder/cases", glob 'test/data/liquid/*.jsonl' ], '>&', \$output), 'inputs of conformance cases are made')
  or diag($output);

my @corpus = glob 'test/fuzz/corpus/*';
my @cases = glob "$folder/cases/*";
cmp_ok(scalar @corpus, '>', 40, 'there is a corpus');
cmp_ok(scalar @cases, '>', 300, 'and there are cases');

# Replays files; shows the one that ends the program, and what it says.
sub replay
{
	my ($name, @files) = @_;
	local $ENV{ASAN_OPTIONS} = 'abort_on_error=0:detect_stack_use_after_return=0';
	my $done = IPC::Run::run([ "$folder/replay", @files ], '>', \$output, '2>', \$error, IPC::Run::timeout(180));

	ok($done, "$name: no finding") or diag('at ' . ((split /\n/, $output)[-1] // 'the start') . ":\n" . substr $error, 0, 4000);
	like($output, qr/^@{[ scalar @files ]} replayed$/m, "$name: all were replayed");
	return;
}

replay('corpus', @corpus);
replay('cases', @cases);

done_testing();
