/* Switches the FPU on, before anything uses it. */
#include <stdint.h>

#define CPACR (*(volatile uint32_t *)0xE000ED88)
#define FULL_ACCESS_TO_CP10_AND_CP11 (0xFu << 20)

void __real_mp_semihosting_init(void);
void __wrap_mp_semihosting_init(void);

void __wrap_mp_semihosting_init(void) {
    CPACR |= FULL_ACCESS_TO_CP10_AND_CP11;
    __asm volatile("dsb\n isb");
    __real_mp_semihosting_init();
}
