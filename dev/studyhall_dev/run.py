def run(d): raise NotImplementedError
def clean(d): raise NotImplementedError
