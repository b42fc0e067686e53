"""A conditional GAN that keeps the expression and loses the identity: nets, objective, data, one loop; pure torch."""
