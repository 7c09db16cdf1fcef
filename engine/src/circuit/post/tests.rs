mod shapes;
mod witnesses;
