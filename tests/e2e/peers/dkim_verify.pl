# Checks the DKIM signatures of mails with Mail::DKIM. Usage: dkim_verify.pl FILE...; a line "FILE<TAB>pass", or why not.
use strict;
use warnings;
use Mail::DKIM::Verifier;

for my $file (@ARGV) {
    my $verifier = Mail::DKIM::Verifier->new();
    open(my $mail, '<:raw', $file) or die "$file: $!";
    while (<$mail>) {
        $verifier->PRINT($_);
    }
    close $mail;
    $verifier->CLOSE;
    my @bad = grep { $_ ne 'pass' } map { $_->result_detail } $verifier->signatures;
    @bad = ('no signature') unless $verifier->signatures;
    print $file, "\t", @bad ? join('; ', @bad) : 'pass', "\n";
}
