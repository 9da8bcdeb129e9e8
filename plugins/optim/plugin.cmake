target_link_libraries(optim PRIVATE m) # cos
