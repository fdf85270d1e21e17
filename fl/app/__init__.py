"""The application: the command `secagg` with its rooms. It needs the extra `demo`; nothing below imports it."""
