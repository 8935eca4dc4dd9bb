"""Courier, unpacked beside Postfix, with which it cannot be installed. Its paths are fixed and many: it lives in a root of its own,
which is the machine's with Courier's packages and their configuration laid over it, and is gone when it stops."""

import os

from support.receivers import ROOT, Receiver

PACKAGES = ("courier-mta", "courier-base", "courier-authlib", "courier-authlib-userdb", "courier-authdaemon", "libcourier-unicode4",
            "libltdl7")
USER = 64910

# $0: our folder; $1: domain; $2: address; the rest: the packages' folders.
OUTER = r"""
folder=$0; export DOMAIN=$1 ADDRESS=$2; shift 2
root=$folder/root
mkdir $root; mount -t tmpfs none $root; mkdir $root/packages $root/upper $root/work $root/merged
for package; do cp -a $package/. $root/packages; done
if [ -d $root/packages/lib ]; then cp -a $root/packages/lib/. $root/packages/usr/lib; rm -r $root/packages/lib; fi
root=$root/merged
mount -t overlay overlay -o lowerdir=$folder/root/packages:/,upperdir=$folder/root/upper,workdir=$folder/root/work $root
mount --rbind /dev $root/dev; mount -t proc proc $root/proc; mount -t tmpfs none $root/run
mkdir $root/mail; mount --bind $folder/mail $root/mail
cp $folder/inner $root/inner
exec chroot $root bash -e /inner
"""

# What the packages' scripts do when they are installed, and the configuration: one mailbox for every address of the domain.
INNER = r"""
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo "courier:x:$USER_ID:$USER_ID::/var/lib/courier:/usr/sbin/nologin" >>/etc/passwd
echo "courier:x:$USER_ID:" >>/etc/group
hostname mx.$DOMAIN
rm -f /etc/resolv.conf; echo nameserver 127.0.0.1 >/etc/resolv.conf
ldconfig
ln -s /usr/lib/courier/makedat /usr/bin/makedat
mkdir -p /run/courier/authdaemon
chown -R courier:courier /run/courier /var/lib/courier
chown root:courier /usr/lib/courier/courier/submit; chmod 4550 /usr/lib/courier/courier/submit
cd /etc/courier
echo mx.$DOMAIN >me
for file in locals defaultdomain esmtpacceptmailfor.dir/here; do echo $DOMAIN >$file; done
sed -i 's/^BOFHCHECKDNS=.*/BOFHCHECKDNS=0/; s/^MAXPER\(C\|IP\)=.*/MAXPER\1=40/; s/^TARPIT=1/TARPIT=0/; s/^NOADDRREWRITE=.*/NOADDRREWRITE=2/' esmtpd
echo "ADDRESS=$ADDRESS" >>esmtpd
sed -i 's/^authmodulelist=.*/authmodulelist="authuserdb"/' authdaemonrc
echo /mail >aliasdir/.courier-default
chown -R courier:courier aliasdir; chmod 700 aliasdir; chmod 600 aliasdir/.courier-default
echo "postmaster: nobody@example.test" >aliases/system
makealiases; makesmtpaccess; makeacceptmailfor; makehosteddomains
authdaemond start
courier start
esmtpd start
exec sleep infinity
"""


class Courier(Receiver):
    """The whole of it: esmtpd, submit, courierd, local delivery to a Maildir. It writes addresses in the header of mail anew as it
    likes them, but here not in signed mail: a setting that it has for that (NOADDRREWRITE=2)."""

    def start(self):
        unpacked = [ROOT / ".deps" / package for package in PACKAGES]
        for folder in unpacked:
            assert folder.exists(), f"no {folder}: tools/setup --tests"
        for name in ("mail", "mail/cur", "mail/new", "mail/tmp"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, USER)
        (self.folder / "inner").write_text(INNER.replace("$USER_ID", str(USER)))
        return self.run("unshare", "--mount", "--uts", "--ipc", "--pid", "--kill-child", "--propagation", "private", "bash", "-ec", OUTER,
                        self.folder, self.domain, self.address, *unpacked)
