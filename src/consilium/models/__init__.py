"""The forecasters, one per file; listing them imports none of them."""

FORECASTERS = {
    "xgboost": "consilium.models.xgboost:XGBoostForecaster",
    "lightgbm": "consilium.models.lightgbm:LightGBMForecaster",
}
"""Models of the pool."""

BASELINES = {
    "prior": "consilium.models.prior:PriorForecaster",
    "persistence": "consilium.models.persistence:PersistenceForecaster",
    "logistic": "consilium.models.logistic:LogisticForecaster",
    "minirocket": "consilium.models.minirocket:MiniRocketForecaster",
}
"""What a model must beat to be worth its electricity."""
