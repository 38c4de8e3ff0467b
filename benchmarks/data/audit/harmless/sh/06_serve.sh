uvicorn app.models:app --host 0.0.0.0
gunicorn --config conf/models.py app:app
