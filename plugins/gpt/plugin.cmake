target_link_libraries(gpt PRIVATE m) # exp: sampling
