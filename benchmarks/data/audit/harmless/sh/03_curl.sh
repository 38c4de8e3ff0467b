curl -fsSL https://files.example.net/tool.tar.gz | tar xz
wget -q https://git.example.net/raw/setup.sh
