#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// Readings of the system's clocks.
package enum SystemTime {
    /// Time since an arbitrary origin; never goes back and does not follow clock corrections.
    package static func monotonic() -> Duration { read(CLOCK_MONOTONIC) }

    /// Time since 1970-01-01 00:00 UTC; may jump when the system's clock is set.
    package static func wall() -> Duration { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return duration(time)
    }

    static func duration(_ time: timespec) -> Duration {
        Duration(
            secondsComponent: Int64(time.tv_sec),
            attosecondsComponent: Int64(time.tv_nsec) * 1_000_000_000)
    }
}

/// What this program uses of the machine.
package enum ResourceUsage {
    /// The number under which the system knows this program.
    package static var processNumber: Int { Int(getpid()) }

    /// CPU time of all threads so far, user and system together.
    package static func cpuTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return SystemTime.duration(time)
    }

    /// CPU time of another process of the same user so far; `nil` when it has ended, or the system
    /// does not tell.
    package static func cpuTime(of process: Int32) -> Duration? {
        #if canImport(Glibc)
            var clock = clockid_t()
            var time = timespec()
            guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else {
                return nil
            }
            return SystemTime.duration(time)
        #else
            return nil
        #endif
    }

    /// Resident memory in bytes now; `nil` when the system does not tell.
    package static func residentBytes() -> Int? {
        #if canImport(Darwin)
            var usage = mach_task_basic_info()
            var count = mach_msg_type_number_t(
                MemoryLayout<mach_task_basic_info>.size / MemoryLayout<natural_t>.size)
            let code = withUnsafeMutablePointer(to: &usage) { pointer in
                pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) {
                    task_info(mach_task_self_, task_flavor_t(MACH_TASK_BASIC_INFO), $0, &count)
                }
            }
            return code == KERN_SUCCESS ? Int(usage.resident_size) : nil
        #else
            // The second field is the number of resident pages.
            guard let bytes = try? FileSystem.readAll("/proc/self/statm") else { return nil }
            let fields = bytes.split(separator: UInt8(ascii: " "))
            guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self))
            else {
                return nil
            }
            return pages * sysconf(Int32(_SC_PAGESIZE))
        #endif
    }

    /// The cores this program may run on, at least 1; a narrowed affinity is respected on Linux.
    package static func coreCount() -> Int {
        #if canImport(Glibc)
            if let count = allowedCoreCount() { return count }
        #endif
        return max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    }

    #if canImport(Glibc)
        /// The cores in the program's affinity mask, as the system prints it: the call is an extension
        /// that Swift does not see.
        private static func allowedCoreCount() -> Int? {
            guard let bytes = try? FileSystem.readAll("/proc/self/status") else { return nil }
            let label = "Cpus_allowed:"
            for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            where line.hasPrefix(label) {
                let count = line.dropFirst(label.count).reduce(0) {
                    $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0)
                }
                return count > 0 ? count : nil
            }
            return nil
        }
    #endif
}
