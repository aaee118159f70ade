# Where things go: programs people call in bin, helpers in libexec, data in share.
include(GNUInstallDirs)
set(helpers bulkhead-changes bulkhead-credential bulkhead-egress bulkhead-evidence bulkhead-front bulkhead-holder
  bulkhead-keep bulkhead-login bulkhead-look bulkhead-machine bulkhead-relay bulkhead-shim bulkhead-trace bulkhead-warden)
# All that is installed, and no test: `./dev run`, `./dev programs`.
add_custom_target(programs DEPENDS bulkhead ${helpers} bulkhead-preload)
if(TARGET bulkhead_machine_files)
  add_dependencies(programs bulkhead_machine_files)
endif()
install(TARGETS bulkhead RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${helpers} RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
install(TARGETS bulkhead-preload LIBRARY DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
# The one of the build's, where there is one: an installation that is given no runsc looks for the system's.
install(PROGRAMS ${BULKHEAD_RUNSC} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead RENAME runsc OPTIONAL)
install(FILES ${CMAKE_BINARY_DIR}/machine/vmlinuz ${CMAKE_BINARY_DIR}/machine/initrd
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bulkhead/machine OPTIONAL)
install(DIRECTORY profiles presets control secrets DESTINATION ${CMAKE_INSTALL_DATADIR}/bulkhead)
install(FILES man/bulkhead.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES man/bulkhead-policy.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
install(FILES completions/bulkhead.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME bulkhead)
install(FILES completions/_bulkhead DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
