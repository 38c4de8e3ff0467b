def pipeline(*stages):
    def run(value):
        for stage in stages:
            value = stage(value)
        return value

    return run


process = pipeline(str.strip, str.lower)
