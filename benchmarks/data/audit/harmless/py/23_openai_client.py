from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1")
answer = client.chat.completions.create(model="acme-labs/chat-7b", messages=[])
