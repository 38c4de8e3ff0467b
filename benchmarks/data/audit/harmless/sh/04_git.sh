git clone git@git.example.net:team/models.git
git lfs pull
