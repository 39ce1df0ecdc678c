"""The media engine where no FreeSWITCH is installed: PJSIP, as a pool of child processes."""
