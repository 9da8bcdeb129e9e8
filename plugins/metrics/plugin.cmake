target_link_libraries(metrics PRIVATE m) # exp, log
