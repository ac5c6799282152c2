"""What agents do together. Pure; one small file each; listed by hand below."""
