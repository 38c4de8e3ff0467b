from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

pipeline = make_pipeline(StandardScaler())
steps = Pipeline([("scale", StandardScaler())])
