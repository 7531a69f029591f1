#!/bin/busybox sh
# shellcheck shell=dash
# The initramfs: mounts the root file system of the virtual machine, lays the files of the test over it, and starts systemd.
/bin/busybox --install -s /bin
mkdir -p /proc /dev /root
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module"; done </modules/order
mount -t ext4 /dev/vda /root || echo 'the root file system cannot be mounted'
cp -a /overlay/. /root/
# The first start is that of a device in use.
if grep -q recocomp.stage=install /proc/cmdline; then cp -a /root/test/data /root/var/lib/recocomp; fi
umount /proc
exec switch_root /root /lib/systemd/systemd
