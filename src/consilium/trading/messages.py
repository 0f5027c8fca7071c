"""What a trading service says."""

from consilium.domain import Fill, Order, OrderEvent, OrderShadowed, PortfolioSnapshot

Message = Order | OrderEvent | OrderShadowed | Fill | PortfolioSnapshot
