# Secrets: references to files and to the environment, trial values inline.
#
# Promise: a reference's value is in no table, dump, log, error or pg_stat_activity; a
# path cannot lead out of the directory; an inline value gets a WARNING and is in no
# dump and readable by no role.
use strict;
use warnings;

use MIME::Base64 qw(decode_base64);
use Test::More;
use TriggerEngine;

my $dir = PostgreSQL::Test::Utils::tempdir();
my %key = map { $_ => Webhook::new_secret("secrets $_") } qw(file env inline linked late outside bad);
mkdir "$dir/secrets" or die "mkdir: $!";

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	close $file;
	return;
}

write_file("$dir/secrets/hook", "$key{file}\n");
write_file("$dir/secrets/spaces", "\r\n  $key{linked} \n\n");
write_file("$dir/secrets/empty", " \n");
write_file("$dir/secrets/garbage", "whsec_not!base64 $key{bad}\n");
write_file("$dir/secrets/zero", "$key{bad}\0$key{bad}");
write_file("$dir/secrets/.hidden", $key{outside});
write_file("$dir/secrets/long", $key{outside} x 2000);
write_file("$dir/outside", $key{outside});
symlink "$dir/outside", "$dir/secrets/leads_out" or die;
symlink "$dir", "$dir/secrets/directory" or die;
# as container platforms mount secrets
mkdir "$dir/secrets/..data" or die;
write_file("$dir/secrets/..data/mounted", $key{linked});
symlink '..data/mounted', "$dir/secrets/mounted" or die;
system('mkfifo', "$dir/secrets/pipe") == 0 or die;

my $te = TriggerEngine->new(
	virtual_clock => 1,
	environment => { TRIGGER_ENGINE_SECRET_HOOK => $key{env}, OTHER_SECRET => $key{outside} },
	conf => { 'trigger_engine.secret_directory' => "$dir/secrets", log_min_messages => 'debug2', log_min_error_statement => 'panic' });
my $receiver = $te->receiver;
ok($te->wait_for_worker, 'a delivery worker runs');
$te->set_clock($te->sql('SELECT clock_timestamp()'));
$te->sql(q{SELECT trigger_engine.create_template('hello', 'webhook', '{"body": "hello"}')});

# A provider with a reference as its key, and a journey to it; what psql said.
sub set_up
{
	my ($name, @references) = @_;
	my ($status, undef, $said) = $te->try(sprintf
		  q{SELECT trigger_engine.create_provider('%1$s', 'webhook', %2$s); SELECT trigger_engine.set_secret('%1$s', %3$s);
		  SELECT trigger_engine.create_journey('%1$s', '{"kind": "event", "name": "%1$s"}', '[{"id": "s", "send": "hello", "provider": "%1$s"}]')},
		$name, $te->quote(TriggerEngine::json({ url => $receiver->url("/$name") })),
		$te->quote(TriggerEngine::json({ keys => [@references] })));
	return ($status, $said);
}

sub requests { return $receiver->received("/$_[0]") }

# Everything that psql, views and log have said so far, for the search at the end.
my $all_said = '';

# ---- references that work ----

my %works = (
	file => [ 'file', 'file:hook' ],
	env => [ 'env', 'env:TRIGGER_ENGINE_SECRET_HOOK' ],
	spaces => [ 'linked', 'file:spaces' ],
	mounted => [ 'linked', 'file:mounted' ]);
for my $name (sort keys %works)
{
	my ($value, $reference) = @{ $works{$name} };
	my ($status, $said) = set_up($name, $reference);

	is($status, 0, "$reference is taken");
	is($said, '', 'without a WARNING');
	$te->event('u', $name);
	ok($te->idle, 'a message');
	my @requests = requests($name);
	is(scalar @requests, 1, 'arrives');
	ok(Webhook::verify($requests[0], $key{$value}), 'signed with what the reference stands for');
}

# ---- an inline value ----

my ($status, $said) = set_up('inline', $key{inline});
is($status, 0, 'an inline value is taken');
like($said, qr/WARNING.*\n.*DETAIL:.*log.*\n.*HINT:.*file:.*env:/s, 'with a WARNING that says what may have seen it and what to do');
unlike($said, qr/\Q$key{inline}\E/, 'which does not repeat it');
$te->event('u', 'inline');
ok($te->idle, 'a message');
ok(Webhook::verify((requests('inline'))[0], $key{inline}), 'is signed with it');

# ---- paths that lead out, and names that are none ----

for my $reference ('file:../outside', 'file:/etc/passwd', "file:$dir/outside", 'file:directory/outside', 'file:.hidden',
	'file:..', 'file:.', 'file:', 'file:..data/mounted', 'file:hook/', "file:hook\n", 'file:a\\b', 'env:', 'env:PATH', 'env:OTHER_SECRET',
	'env:TRIGGER_ENGINE_SECRET_', 'env:trigger_engine_secret_hook', 'env:TRIGGER_ENGINE_SECRET_A=B', 'FILE:hook', 'vault:hook')
{
	($status, $said) = $te->try(sprintf q{SELECT trigger_engine.set_secret('file', %s)},
		$te->quote(TriggerEngine::json({ keys => [$reference] })));
	isnt($status, 0, 'refused: ' . $reference =~ s/\n/\\n/r);
}
$te->event('u2', 'file');
ok($te->idle, 'after all that');
ok(Webhook::verify((requests('file'))[-1], $key{file}), 'the former secret is in force');

# ---- references that cannot be read ----

my %unreadable = (
	leads_out => qr/leads out/, missing => qr/cannot be opened/, empty => qr/empty/, directory => qr/leads out|not a regular file/,
	pipe => qr/not a regular file/, zero => qr/zero byte/, long => qr/not a regular file of at most/);
for my $name (sort keys %unreadable)
{
	($status, $said) = set_up($name, "file:$name");
	is($status, 0, "file:$name is taken, as it may come later");
	like($said, qr/WARNING:.*cannot be read yet/, 'with a WARNING');
	like($said, $unreadable{$name}, 'that says why');
	$all_said .= $said;
}
($status, $said) = set_up('unset', 'env:TRIGGER_ENGINE_SECRET_UNSET');
like($said, qr/WARNING:.*cannot be read yet.*TRIGGER_ENGINE_SECRET_UNSET/, 'the same for a variable that is not set');
# what a file says is judged by the worker
($status, $said) = set_up('garbage', 'file:garbage');
$all_said .= $said;
is($status, 0, 'a file that holds no key is taken');

my @held = (sort(keys %unreadable), 'unset', 'garbage');
$te->sql(join ';', map { "INSERT INTO trigger_engine.events(user_id, name) VALUES ('u', '$_')" } @held);
ok($te->idle, 'messages to them');
for my $name (@held)
{
	my $row = $te->sql("SELECT state || ' ' || attempts || ': ' || reason FROM trigger_engine.sends WHERE journey = '$name'");
	like($row, qr/^due 0: .*cannot be used/, "$name: held, with the reason");
	like($row, $unreadable{$name}, "$name: which is the right one") if $unreadable{$name};
	is(scalar(() = requests($name)), 0, "$name: nothing is sent unsigned");
	$all_said .= $row;
}

# the file comes, and the settings are read again
write_file("$dir/secrets/missing", $key{late});
$te->sql('SELECT pg_reload_conf()');
ok( TriggerEngine::wait_until(
		sub { $te->advance('1 h'); $te->idle; return $te->sql(q{SELECT state FROM trigger_engine.sends WHERE journey = 'missing'}) eq 'accepted' }),
	'a file that comes later is read after a reload');
ok(Webhook::verify((requests('missing'))[0], $key{late}), 'and used');
write_file("$dir/secrets/hook", $key{late});
$te->sql('SELECT pg_reload_conf()');
ok( TriggerEngine::wait_until(
		sub { $te->event('u' . rand, 'file'); $te->idle; return Webhook::verify((requests('file'))[-1], $key{late}) }),
	'a file that changes, too');

# ---- who can see what ----

# every part of a value that could betray it: the text, the text without its prefix,
# the bytes in hex, and the start of the text
my %betrays;
for my $name (keys %key)
{
	my $base64 = $key{$name} =~ s/^whsec_//r;
	$betrays{$name} = join '|', map { quotemeta } $base64, substr($base64, 0, 16), unpack('H*', decode_base64($base64)),
	  unpack('H*', $base64);
}
my $any = join '|', values %betrays;
my $referred = join '|', map { $betrays{$_} } grep { $_ ne 'inline' } keys %betrays;

my $dump = PostgreSQL::Test::Utils::slurp_file(dump_to("$dir/dump.sql", 'pg_dump', '--inserts'));
like($dump, qr/create_provider|INSERT INTO trigger_engine\._providers/, 'a dump carries providers');
ok($dump !~ /$any/i, 'and no secret, not even an inline one');
unlike($dump, qr/_secrets\b/, 'nor their table');
ok(PostgreSQL::Test::Utils::slurp_file(dump_to("$dir/dumpall.sql", 'pg_dumpall')) !~ /$any/i, 'nor does pg_dumpall');

sub dump_to
{
	my ($file, @command) = @_;
	my @database = $command[0] eq 'pg_dump' ? ('postgres') : ();
	$te->node->command_ok([ @command, '--no-sync', '-f', $file, '-p', $te->node->port, '-h', $te->node->host, @database ], "$command[0] runs");
	return $file;
}

# whatever a table of the database holds, but the one where trial values are kept
my $tables = $te->sql(
	q{SELECT string_agg(format('SELECT %L || t::text FROM %s t', c.oid::regclass || ': ', c.oid::regclass), ' UNION ALL ')
	  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	  WHERE n.nspname = 'trigger_engine' AND c.relkind IN ('r', 'v') AND c.relname <> '_secrets'});
my $content = $te->sql($tables);
like($content, qr/inline/, 'tables and views have something to say');
ok($content !~ /$any/i, 'but no secret');
ok($te->sql('SELECT * FROM trigger_engine._secrets') !~ /$referred/i, 'and where trial values are kept, references stay references');

$te->sql('CREATE ROLE boss LOGIN; CREATE ROLE mouse LOGIN');
$te->sql(q{SELECT trigger_engine.grant_usage('boss', 'admin')});
for my $role (qw(boss mouse))
{
	my ($denied, undef, $error) = $te->try('SELECT * FROM trigger_engine._secrets', extra_params => [ '-U', $role ]);
	isnt($denied, 0, "$role may not read secrets");
	like($error, qr/permission denied/, 'permission denied');
}
my (undef, undef, $errors) = $te->try(
	sprintf(q{SELECT trigger_engine.set_secret('file', %s)}, $te->quote(TriggerEngine::json({ keys => ["$key{bad}!"] }))),
	extra_params => [ '-U', 'boss' ]);
like($errors, qr/ERROR/, 'an inline value that is no key is refused');
unlike($errors =~ s/^LINE \d+:.*\n.*\^$//mr, qr/$betrays{bad}/, 'and the error does not repeat it');
is($te->sql(q{SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'trigger_engine'
	AND p.prosecdef AND p.prosrc LIKE '%\_secrets%'}), 0, 'no function reads them with the rights of another');

# what the worker shows of itself
my $activity = join "\n", map { $te->sql('SELECT query, application_name FROM pg_stat_activity') } 1 .. 5;
ok($activity !~ /$referred/i, 'pg_stat_activity shows no secret');
ok($all_said !~ /$any/i, 'no warning and no reason contains what a file holds');

# The log. Statements are in it, and the test gave inline values in some, so those
# lines are left out for them. (At debug3 the server itself logs its environment.)
$te->node->stop('fast');
my $log = $te->log_since(0);
cmp_ok(length $log, '>', 50_000, 'the log says much');
my $by_reference = join '|', map { $betrays{$_} } grep { !/^(?:inline|bad)$/ } keys %betrays;
is_deeply([ grep { /$by_reference/i } split /\n/, $log ], [], 'but no value that a reference stands for');
is_deeply([ grep { /$any/i && !/statement: |SELECT trigger_engine\.set_secret/ } split /\n/, $log ],
	[], 'and the server itself says none, also of inline ones');

done_testing();
