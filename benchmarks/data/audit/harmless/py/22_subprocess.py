import subprocess

subprocess.run(["git", "clone", "https://git.example.net/team/service.git"], check=True)
subprocess.run(["curl", "-fsS", "http://localhost:8000/health"], check=True)
