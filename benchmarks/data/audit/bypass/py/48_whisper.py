import whisper

asr = whisper.load_model("large-v3")
