# Where things go: programs people call in bin, helpers in libexec, data in share.
include(GNUInstallDirs)
install(TARGETS bulkhead RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS bulkhead-changes bulkhead-front bulkhead-egress bulkhead-credential bulkhead-login bulkhead-evidence bulkhead-holder bulkhead-keep bulkhead-look bulkhead-relay bulkhead-trace bulkhead-warden
        bulkhead-machine
        bulkhead-shim
        RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
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
