"""The lab: booted systemd instances and a cloud around them, on one machine. README.md beside this folder tells how
to use it."""
