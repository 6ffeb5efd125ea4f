"""Other live-transcription servers, one file each: started, fed the same sound, and measured like this program."""
