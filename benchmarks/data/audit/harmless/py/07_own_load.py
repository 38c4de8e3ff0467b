class Cache:
    def load(self, name):
        return self.items[name]


cache = Cache()
model = cache.load("model.pkl")
