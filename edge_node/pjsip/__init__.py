"""PJSIP (GPL, an optional extra): what phones and the media engine's processes share. The agent imports none of it."""
