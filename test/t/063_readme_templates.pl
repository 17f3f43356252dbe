# The examples of the README's section on templates run, and print what stands beside them.

use strict;
use warnings;

use Test::More;
use TriggerEngine;

my $te = TriggerEngine->new;
open my $file, '<:raw', 'README.md' or die "README.md: $!";
my $readme = do { local $/; <$file> };
close $file;
my ($section) = $readme =~ /^## Templates\n(.*?)^## /ms;
my @examples = $section =~ /^```sql\n(.*?)^```/msg;
cmp_ok(scalar @examples, '>=', 5, 'there are examples');

# an example is statements, each followed by lines "-- field => text" or "-- => text" of what it prints
for my $example (@examples)
{
	my ($statement, @said) = ('');

	for my $line (split(/\n/, $example), '')
	{
		if ($line =~ /^-- (?:(\w+) )?=> (.*)/)
		{
			push @said, [ $1, $2 ];
			next;
		}
		if (@said or ($line eq '' and $statement =~ /\S/))
		{
			my $printed = $te->sql($statement);
			ok(defined $printed, 'runs: ' . (split /\n/, $statement)[0]);
			for (@said)
			{
				my ($field, $text) = @$_;
				my $row = defined $field ? qr/^(?:\Q$field\E\|)?\Q$text\E(?:\||$)/m : qr/^\Q$text\E$/m;
				like($printed, $row, "prints: $text");
			}
			($statement, @said) = ('');
		}
		$statement .= "$line\n";
	}
}

done_testing();
